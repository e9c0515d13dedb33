"""BM25 over texts in memory, plain and with a weighted query, both on bm25s. Knows no files.

Plain: bm25s' own settings: Lucene's variant, k1 = 1.5, b = 0.75, its 33 English stop words, the
English Snowball stemmer; a query word counts as often as it occurs.

Weighted query: BRIGHT's official BM25 (github.com/xlang-ai/BRIGHT, retrievers.py, retrieval_bm25):
gensim's LuceneBM25Model (gensim/models/bm25model.py) with k1 = 0.9, b = 0.4 turns documents and
queries alike into vectors, and the score is their inner product. With N documents of a mean length
of L words, of which n hold the word t, a text of l words that holds t f times has at t the weight

    ln((N + 1) / (n + 0.5)) * f / (f + k1 * (1 - b + b * l / L))

where the length l of a query counts only words that some document has. So the repetitions of a word
in a long query count less and less, and rarity counts twice.

The analysis is Lucene's EnglishAnalyzer, which that code takes from pyserini: words by the rules of
Unicode's annex 29 (letters, digits and underscores, and between them the points and apostrophes
that join), lower case, no possessive 's, no stop words, Porter's stemmer. Left out: the rules for
scripts without spaces between words and for combining marks.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thought1.types import Thought1Error

Scores = npt.NDArray[np.float32]
"""Shape (N,): one score for each document."""

OFFICIAL_K1, OFFICIAL_B = 0.9, 0.4
PLAIN_K1, PLAIN_B = 1.5, 0.75

_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there
these they this to was will with
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Lucene's EnglishAnalyzer.ENGLISH_STOP_WORDS_SET."""

_WORD = re.compile(
    r"(?:\w"
    r"|(?<=[^\W\d_])[.:·'\u2018\u2019](?=[^\W\d_])"  # between letters: can't, e.g, foo:bar
    r"|(?<=\d)[.,;'\u2018\u2019](?=\d)"  # between digits: 1,000.5
    r")+"
)
_POSSESSIVE = re.compile(r"['\u2019\uff07]s$")
_DEPARTURE = re.compile(r"^(.+)(bl|log)(?:y|ies)$")
"""Words that Lucene's Porter stemmer treats as Porter's own programs do, in which the second step
makes ble of bli and log of logi; Snowball's follows the paper of 1980."""
_MEASURE = re.compile(r"(?:[aeiou]|(?<=[^aeiou])y)(?:[^aeiouy]|(?<=[aeiou])y)")
"""A vowel and a consonant after it: what a stem must hold to have a measure above 0."""


class WordScores(Protocol):
    """BM25 of one kind: first the documents, then queries."""

    def index(self, texts: Sequence[str]) -> None:
        """Read the documents."""

    def scores(self, query: str) -> Scores:
        """Score of each document, shape (N,); 0 if it shares no word with the query."""


class PlainBM25:
    """BM25 as bm25s has it by default.

    Raises:
        Thought1Error: bm25s or PyStemmer is not installed.
    """

    def __init__(self) -> None:
        self._library, stemmers = _packages()
        self._stemmer = stemmers.Stemmer("english")
        self._index = self._library.BM25(k1=PLAIN_K1, b=PLAIN_B, method="lucene")
        self._documents = 0

    def index(self, texts: Sequence[str]) -> None:
        """Read the documents."""
        self._documents = len(texts)
        self._index.index(self._words(texts), show_progress=False)

    def scores(self, query: str) -> Scores:
        """Score of each document, shape (N,)."""
        # bm25s refuses a query without a known word.
        words = [word for word in self._words([query])[0] if word in self._index.vocab_dict]
        if not words:
            return np.zeros(self._documents, dtype=np.float32)
        found: Scores = self._index.get_scores(words)
        return found

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        words: list[list[str]] = self._library.tokenize(
            list(texts),
            stopwords="english",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return words


class QueryBM25:
    """BM25 that weighs the words of a query as those of a document, after Lucene's analysis.

    Raises:
        Thought1Error: bm25s or PyStemmer is not installed.
    """

    def __init__(self) -> None:
        self._library, stemmers = _packages()
        self._stemmer = stemmers.Stemmer("porter")
        self._index = self._library.BM25(k1=OFFICIAL_K1, b=OFFICIAL_B, method="lucene")
        self._documents = 0
        self._mean_length = 0.0

    def index(self, texts: Sequence[str]) -> None:
        """Read the documents."""
        words = [self.analyze(text) for text in texts]
        self._documents = len(words)
        self._mean_length = sum(map(len, words)) / max(1, len(words))
        self._index.index(words, show_progress=False)

    def scores(self, query: str) -> Scores:
        """Score of each document, shape (N,)."""
        columns = self._index.scores
        starts, rows, weights = columns["indptr"], columns["indices"], columns["data"]
        known = self._index.vocab_dict
        counts = Counter(known[word] for word in self.analyze(query) if word in known)
        length = counts.total()
        scores: Scores = np.zeros(self._documents, dtype=np.float32)
        for word, count in counts.items():
            column = slice(starts[word], starts[word + 1])
            holders = column.stop - column.start
            scores[rows[column]] += weights[column] * self._weight(count, length, holders)
        return scores

    def analyze(self, text: str) -> list[str]:
        """The stems of a text, as Lucene's EnglishAnalyzer with Porter's stemmer gives them."""
        words = (
            match.group().lower() for match in _WORD.finditer(text) if match.group().strip("_")
        )
        kept = (_POSSESSIVE.sub("", word) for word in words)
        return self._stems(word for word in kept if word not in STOP_WORDS)

    def _stems(self, words: Iterable[str]) -> list[str]:
        stems: list[str] = self._stemmer.stemWords([_depart(word) for word in words])
        return stems

    def _weight(self, count: int, length: int, holders: int) -> float:
        idf = np.log((self._documents + 1) / (holders + 0.5))
        norm = OFFICIAL_K1 * (1 - OFFICIAL_B + OFFICIAL_B * length / self._mean_length)
        return float(idf * count / (count + norm))


def best(scores_N: Scores, depth: int) -> list[tuple[int, float]]:
    """The rows of the `depth` highest scores above 0, best first, equal ones in their order."""
    rows = np.argsort(-scores_N, kind="stable")[:depth]
    return [(int(i), float(scores_N[i])) for i in rows if scores_N[i] > 0]


def _depart(word: str) -> str:
    """The word that Snowball's stemmer makes of what Lucene's makes of `word`."""
    found = _DEPARTURE.match(word)
    if not found or not _MEASURE.search(found[1]):
        return word
    return found[1] + ("ble" if found[2] == "bl" else "log")


def check_packages() -> None:
    """Raise Thought1Error if bm25s or PyStemmer is not installed."""
    _packages()


def _packages() -> tuple[Any, Any]:
    try:
        import bm25s
        import Stemmer
    except ImportError as error:
        raise Thought1Error(
            'the systems bm25 and bm25-query need bm25s and PyStemmer: pip install "thought1[eval]"'
        ) from error
    return bm25s, Stemmer
