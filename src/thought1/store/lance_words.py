"""How LanceDB finds the words of texts and queries for BM25. Knows no table."""

from lancedb.index import FTS

LONGEST_WORD = 1024
"""Bytes; a longer word is not found. LanceDB's own limit is 40: hashes and compounds are longer."""

# LanceDB's own English list. It is given because the ICU tokenizer drops the stop words of all
# languages otherwise, among them digits, "com" and syllables of Korean.
_STOP_WORDS = """
a about above after again against ain all am an and any are aren as at be because been before
being below between both but by can couldn d did didn do does doesn doing don down during each
few for from further had hadn has hasn have haven having he her here hers herself him himself
his how i if in into is isn it its itself just ll m ma me mightn more most mustn my myself needn
no nor not now o of off on once only or other our ours ourselves out over own re s same shan she
should shouldn so some such t than that the their theirs them themselves then there these they
this those through to too under until up ve very was wasn we weren were what when where which
while who whom why will with won wouldn y you your yours yourself yourselves
"""


def word_index() -> FTS:
    """The analysis of texts and queries for BM25.

    ICU finds the words of Chinese, Japanese and Thai by dictionary and splits the rest, Korean
    too, at anything that is neither letter nor digit. English stemming and stop words.
    """
    return FTS(
        base_tokenizer="icu/split",
        language="English",
        max_token_length=LONGEST_WORD,
        custom_stop_words=_STOP_WORDS.split(),
    )
