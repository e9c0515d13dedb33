"""What every reranker must do. A new one is tested by its row in `thought1.registry.RERANKERS`,
and a way to build it here."""

import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from chat_server import Request, chat_server
from tiny import SIZES, make_checkpoint, word_piece_tokenizer
from transformers import BertConfig, BertForSequenceClassification

from thought1.contracts import Reranker
from thought1.registry import RERANKERS
from thought1.rerank.opening import open_reranker
from thought1.types import Thought1Error

QUERY = "Why do ice cubes crack?"
DOCUMENTS = ["Salt melts ice.", "Ice cubes crack as they warm.", "Bread rises.", "Iron rusts."]


def by_shared_words(request: Request) -> str:
    """What a chat model would say that counts the words a passage shares with the query."""
    text = request["messages"][-1]["content"]
    if "Answer with yes or no" in text:
        passage, query = text.split("\n\n")[:2]
        return "yes" if len(_words(passage) & _words(query)) > 2 else "no"
    shown = re.findall(r"^\[(\d+)\] ?(.*)$", text, re.MULTILINE)
    asked = _words(text.partition("relevance to query:")[2].partition("\n")[0])
    order = sorted(shown, key=lambda item: -len(asked & _words(item[1])))
    return " > ".join(f"[{number}]" for number, _ in order)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def tiny_cross_encoder(folder: Path) -> str:
    torch.manual_seed(0)
    tokenizer = word_piece_tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, **SIZES)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"cross-encoder:{folder}"


def tiny_t1(folder: Path) -> str:
    return f"t1:{make_checkpoint(folder)}"


LOCAL: dict[str, Callable[[Path], str]] = {"cross-encoder": tiny_cross_encoder, "t1": tiny_t1}
SERVED = ("openai", "openai-pointwise")


@pytest.fixture(scope="module", params=sorted(RERANKERS))
def reranker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reranker]:
    if request.param in LOCAL:
        yield open_reranker(LOCAL[request.param](tmp_path_factory.mktemp("rerank") / "model"))
        return
    assert request.param in SERVED, "a new reranker: say here how it is built"
    with chat_server(by_shared_words) as state:
        yield open_reranker(f"{request.param}:{state.url}#m")


def test_one_finite_score_each(reranker: Reranker) -> None:
    found = reranker.rerank(QUERY, DOCUMENTS)
    assert len(found.scores) == len(DOCUMENTS)
    assert all(isinstance(score, float) and math.isfinite(score) for score in found.scores)
    assert found.calls >= 1
    assert found.tokens > 0
    assert reranker.rerank(QUERY, DOCUMENTS) == found
    assert reranker.name.partition(":")[0] in RERANKERS


def test_scores_of_several_calls_compare_where_it_says_so(reranker: Reranker) -> None:
    together = reranker.rerank(QUERY, DOCUMENTS).scores
    alone = [reranker.rerank(QUERY, [text]).scores[0] for text in DOCUMENTS]
    assert (alone == pytest.approx(together, abs=1e-4)) is reranker.pointwise


def test_the_same_weights_have_the_same_hash(reranker: Reranker) -> None:
    kind = reranker.name.partition(":")[0]
    assert (reranker.weights_hash is not None) is (kind in LOCAL)
    assert reranker.weights_hash == reranker.weights_hash


def test_one_document(reranker: Reranker) -> None:
    assert len(reranker.rerank(QUERY, DOCUMENTS[:1]).scores) == 1


def test_the_order_of_documents_changes_no_preference(reranker: Reranker) -> None:
    straight = reranker.rerank(QUERY, DOCUMENTS).scores
    turned = reranker.rerank(QUERY, DOCUMENTS[::-1]).scores[::-1]
    best = max(range(len(DOCUMENTS)), key=straight.__getitem__)
    assert max(range(len(DOCUMENTS)), key=turned.__getitem__) == best


def test_more_documents_than_go_together(reranker: Reranker) -> None:
    documents = [f"{text} {number}" for number in range(12) for text in DOCUMENTS]
    found = reranker.rerank(QUERY, documents)
    assert len(found.scores) == len(documents)
    assert all(map(math.isfinite, found.scores))


def test_odd_texts(reranker: Reranker) -> None:
    odd = [
        "",
        " ",
        "[1] > [2]",
        "yes",
        "<|im_end|>[SEP]</s>",
        "\x00\x07",
        "日本語 🎉",
        "word " * 3000,
    ]
    found = reranker.rerank(QUERY, odd)
    assert len(found.scores) == len(odd)
    assert all(map(math.isfinite, found.scores))
    assert len(reranker.rerank("ice " * 100 + "?", DOCUMENTS).scores) == len(DOCUMENTS)


def test_a_question_of_50000_characters_is_an_answer_or_an_error(reranker: Reranker) -> None:
    try:
        assert len(reranker.rerank("ice " * 12_500, DOCUMENTS).scores) == len(DOCUMENTS)
    except Thought1Error as error:
        assert "question" in str(error)


def test_several_threads(reranker: Reranker) -> None:
    queries = [f"{QUERY} {number}" for number in range(8)]
    alone = [reranker.rerank(query, DOCUMENTS).scores for query in queries]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: reranker.rerank(query, DOCUMENTS).scores, queries))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing:x", "there is no reranker named 'nothing'; known names: cross-encoder, openai"),
        ("cross-encoder:", "name the cross-encoder"),
        ("cross-encoder:/no/such/folder", "is no cross-encoder"),
        ("openai:http://127.0.0.1:1", "name server and model"),
        ("openai-pointwise:#m", "name server and model"),
        ("t1", "this index has none"),
        ("t1:/no/such/folder", "no such folder"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        open_reranker(name)


def test_a_model_without_a_trained_head_is_no_cross_encoder(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="BertForMaskedLM, which has no head that scores"):
        open_reranker(f"cross-encoder:{make_checkpoint(tmp_path / 'bert', 'bert')}")


def test_a_classifier_of_several_classes_is_refused(tmp_path: Path) -> None:
    tokenizer = word_piece_tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), num_labels=3, **SIZES)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(Thought1Error, match="gives 3 numbers for a pair"):
        open_reranker(f"cross-encoder:{tmp_path}")
