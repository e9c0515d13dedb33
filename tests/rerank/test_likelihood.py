"""How likely question and document find each other, against plain transformers, one by one."""

from pathlib import Path

import pytest
import torch
from tiny import make_checkpoint

from thought1.rerank.likelihood import BETWEEN, PRIOR_WEIGHT, LikelihoodReranker, open_likelihood
from thought1.t1 import T1
from thought1.types import Thought1Error

QUERY = "Why do ice cubes crack?"
DOCUMENTS = ["Salt melts ice.", "Ice cubes crack as they warm in the sun.", "Bread"]


def plain(model: T1, context: list[int], target: list[int]) -> float:
    """The mean log-probability by one forward pass without cache and padding."""
    with torch.no_grad():
        logits_TV = model.checkpoint.model(torch.tensor([[*context, *target]])).logits[0].float()
    logprobs_TV = logits_TV.log_softmax(-1)[-len(target) - 1 : -1]
    return logprobs_TV[range(len(target)), target].mean().item()


def prompt(model: T1, query: str) -> list[int]:
    own = model.settings
    rendered = model.renderer.render(own.query, [query], own.max_query_tokens)
    return [*rendered.prefix, *rendered.rows[0]]


def opened(model: T1) -> LikelihoodReranker:
    return open_likelihood("t1", model)


@pytest.mark.parametrize("architecture", ["qwen3", "bert", "gemma2"])
def test_it_is_made_of_three_mean_log_probabilities(tmp_path: Path, architecture: str) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m", architecture))
    found = opened(model).rerank(QUERY, DOCUMENTS)
    read = model.renderer
    question = read.text([QUERY])[0]
    expected = []
    for ids in read.text(DOCUMENTS):
        forth = plain(model, [*read.leading, *ids, *read.words(BETWEEN)], question)
        back = plain(model, prompt(model, QUERY), ids)
        expected.append(forth + back - PRIOR_WEIGHT * plain(model, prompt(model, ""), ids))
    assert found.scores == pytest.approx(expected, abs=1e-4)
    assert len(set(found.scores)) == len(DOCUMENTS)


def test_other_documents_change_no_score(tmp_path: Path) -> None:
    reranker = opened(T1.from_pretrained(make_checkpoint(tmp_path / "m")))
    many = [f"Fact {'of ice ' * n}number {n}." for n in range(20)]
    alone = [reranker.rerank(QUERY, [text]).scores[0] for text in many]
    assert reranker.rerank(QUERY, many).scores == pytest.approx(alone, abs=1e-4)


def test_a_document_without_words_gets_the_lowest_score(tmp_path: Path) -> None:
    reranker = opened(T1.from_pretrained(make_checkpoint(tmp_path / "m")))
    found = reranker.rerank(QUERY, ["", *DOCUMENTS])
    assert found.scores[1:] == pytest.approx(reranker.rerank(QUERY, DOCUMENTS).scores, abs=1e-4)
    assert found.scores[0] == min(found.scores[1:])
    assert reranker.rerank(QUERY, ["", " "]).scores == (0.0, 0.0)


def test_what_it_read_is_counted(tmp_path: Path) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m"))
    found = opened(model).rerank(QUERY, DOCUMENTS)
    read = model.renderer
    documents = sum(map(len, read.text(DOCUMENTS)))
    question, between = len(read.text([QUERY])[0]), len(read.words(BETWEEN))
    prompts = len(prompt(model, QUERY)) + len(prompt(model, ""))
    assert found.tokens == 3 * documents + prompts + len(DOCUMENTS) * (question + between)
    assert found.calls == 3


def test_a_model_without_a_language_head_is_refused(tmp_path: Path) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m"))
    model.checkpoint.random_head = frozenset(["lm_head.weight"])
    with pytest.raises(Thought1Error, match="no language head"):
        open_likelihood("t1", model)


def test_an_empty_question_is_one_sentence(tmp_path: Path) -> None:
    reranker = opened(T1.from_pretrained(make_checkpoint(tmp_path / "m")))
    with pytest.raises(Thought1Error, match="empty question"):
        reranker.rerank(" ", DOCUMENTS)


def test_long_questions_and_documents_are_cut(tmp_path: Path) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m"))
    found = opened(model).rerank("ice " * 5000, [*DOCUMENTS, "salt " * 5000])
    assert len(set(found.scores)) == len(DOCUMENTS) + 1
    assert found.tokens < 3 * 4 * model.engine.max_positions
