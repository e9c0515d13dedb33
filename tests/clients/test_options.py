"""Options by name and as JSON: nothing is lost on the way, and nothing wrong gets through."""

from datetime import date
from typing import Any

import pytest

from thought1.clients.options import as_json, search_options
from thought1.search.adaptive import Adaptive, Gate
from thought1.search.options import Fusion, SearchOptions
from thought1.serving.bodies import SearchRequest
from thought1.types import Sampling, Thought1Error

CASES = [
    SearchOptions(),
    SearchOptions(3, "dense", 5, {"year": {"gte": 1990}, "lang": ["en"]}, offset=2),
    SearchOptions(fusion=Fusion(by="ranks", rank_constant=30, bm25_weight=2.0)),
    SearchOptions(sampling=Sampling(0.7), samples=3, combine="agreement"),
    SearchOptions(sampling=Sampling(no_repeat_ngram=3)),
    SearchOptions(mode="dense", samples=2, min_confidence=0.5),
    SearchOptions(checkpoints=(2, 4)),
    SearchOptions(adaptive=Adaptive((2, 4), cosine=0.9, gate=Gate("margin", 0.1))),
    SearchOptions(group_by="source", group_best=2, neighbours=1, explain=True),
    SearchOptions(rerank="small", rerank_depth=7, rerank_weight=0.2, evidence=2),
    SearchOptions(rerank="small", rerank_guided=True),
    SearchOptions(evidence=2, rounds=3),
]


@pytest.mark.parametrize("options", CASES)
def test_json_is_what_a_server_takes(options: SearchOptions) -> None:
    body = as_json(options)
    read = SearchRequest.model_validate_json(SearchRequest(query="q", **body).model_dump_json())
    usual = Sampling(0.9, 0.8, 7, 5)  # a server's own, which must not show
    read_options = read.options(usual)
    if options.sampling is not None and options.sampling.temperature == 0:
        assert read_options.sampling is not None
        assert read_options.sampling.temperature == 0
        assert read_options.sampling.no_repeat_ngram == options.sampling.no_repeat_ngram
    else:
        assert read_options == options
    assert search_options(body) == options


def test_only_what_differs_is_written() -> None:
    assert as_json(SearchOptions()) == {}
    assert as_json(SearchOptions(k=3)) == {"k": 3}
    assert as_json(SearchOptions(where={"day": date(2026, 1, 2)})) == {
        "where": {"day": "2026-01-02"}
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"no_such": 1}, "no option 'no_such'; it has k, mode"),
        ({"k": 0}, "k must be"),
        ({"k": "many"}, "^k: "),
        ({"fusion": {"by": "chance"}}, "^fusion"),
        ({"samples": 2, "think": 0}, "need a thinking budget"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        search_options(values)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(Thought1Error, match="cannot be written as JSON"):
        as_json(SearchOptions(where={"year": object()}))
