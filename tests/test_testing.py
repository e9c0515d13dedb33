"""The public fake model: its documented example runs, and it keeps what it promises."""

import re
from pathlib import Path

import numpy as np
import pytest

from thought1.index import IndexModel
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error

PAGE = Path(__file__).resolve().parents[1] / "docs" / "testing.md"


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    names["test_the_answer_is_found"](tmp_path)  # type: ignore[operator]


def test_it_is_a_model_of_an_index() -> None:
    model: IndexModel = FakeModel(dim=16)
    documents = [Document(str(i), f"text {i}") for i in range(150)]
    chunks = list(model.encode_document_stream(documents))
    assert [len(chunk) for chunk, _ in chunks] == [100, 50]
    assert [document for chunk, _ in chunks for document in chunk] == documents
    for chunk, vectors in chunks:
        assert vectors.shape == (len(chunk), 16)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_thought_moves_its_query_towards_what_it_says() -> None:
    model = FakeModel(knowledge={"why": "ice floats on water"}, own_budget=2)
    whole, cut, none = (model.think(["why"], budget=budget)[0] for budget in (9, None, 0))
    assert (whole.text, cut.text, none.text) == ("ice floats on water", "ice floats", "")
    assert [len(thought.token_ids) for thought in (whole, cut, none)] == [4, 2, 0]
    goal = model.vector("ice floats on water")
    assert none.vector @ goal < cut.vector @ goal < whole.vector @ goal
    assert model.think_calls == 3
    first, second = model.think(["why"], budget=4, samples=2)
    assert (first.text, second.text) == ("ice floats on water", "ice floats on")


def test_evidence_is_noted_and_cut() -> None:
    model = FakeModel()
    model.evidence_limit = 1
    assert model.fit_evidence(["q"], [["one", "two"]]) == [["one"]]
    model.think(["q"], evidence=[["one"]])
    assert model.evidence_read == [[["one"]]]
    assert model.count_prompt_tokens(["two words"], evidence=[["and three more"]]) == 5
    with pytest.raises(Thought1Error):
        model.check_evidence(budget=0)
