"""How likely a question is behind a document, against plain transformers, one by one."""

from pathlib import Path

import pytest
import torch
from tiny import make_checkpoint

from thought1.rerank.likelihood import BETWEEN, LikelihoodReranker, open_likelihood
from thought1.t1 import T1
from thought1.types import Thought1Error

QUERY = "Why do ice cubes crack?"
DOCUMENTS = ["Salt melts ice.", "Ice cubes crack as they warm in the sun.", "Bread", ""]


@pytest.mark.parametrize("architecture", ["qwen3", "bert", "gemma2"])
def test_it_is_the_mean_log_probability(tmp_path: Path, architecture: str) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m", architecture))
    found = LikelihoodReranker("t1", model).rerank(QUERY, DOCUMENTS)
    read = model.renderer
    target = read.text([QUERY])[0]
    expected, tokens = [], 0
    for ids in read.text(DOCUMENTS):
        row = [*read.leading, *ids, *read.words(BETWEEN), *target]
        tokens += len(row)
        with torch.no_grad():
            logits_TV = model.checkpoint.model(torch.tensor([row])).logits[0].float()
        logprobs_TV = logits_TV.log_softmax(-1)[-len(target) - 1 : -1]
        expected.append(logprobs_TV[range(len(target)), target].mean().item())
    assert found.scores == pytest.approx(expected, abs=1e-4)
    assert found.tokens == tokens
    assert len(set(found.scores)) == len(DOCUMENTS)


def test_a_model_without_a_language_head_is_refused(tmp_path: Path) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m"))
    model.checkpoint.random_head = frozenset(["lm_head.weight"])
    with pytest.raises(Thought1Error, match="no language head"):
        open_likelihood("t1", model)


def test_an_empty_or_endless_question_is_one_sentence(tmp_path: Path) -> None:
    model = T1.from_pretrained(make_checkpoint(tmp_path / "m"))
    reranker = open_likelihood("t1", model)
    with pytest.raises(Thought1Error, match="empty question"):
        reranker.rerank(" ", DOCUMENTS)
    with pytest.raises(Thought1Error, match="leaves no room for a document"):
        reranker.rerank("ice " * 5000, DOCUMENTS)
