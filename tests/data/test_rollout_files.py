"""Saved rollouts: what is written is read again, and a broken file is refused with its place."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rollout_batch import batch, told

from thought1.data.rollouts import append_rollouts, cut_rollouts, read_rollouts
from thought1.rewards import Rollouts
from thought1.types import Thought1Error

PAIR = batch([[0.1234567, 0.5], [0.25, -1.0]], [[1, 0], [1, 0]], group_size=2, ended=[True, False])
FOUR = batch(
    [[0.1, 0.5, 0.9]] * 4,
    [[1, 0, 1]] * 2 + [[0, 1, 0]] * 2,
    group_size=2,
    lengths=[0, 1, 2, 16],
    repeated=[0, 0.5, 0, 1 / 3],
)


def write(path: Path) -> Path:
    """A file of three batches: steps 1, 1 with more candidates, and 2."""
    for step, rollouts in ((1, PAIR), (1, FOUR), (2, FOUR)):
        append_rollouts(path, step, rollouts, told(rollouts))
    return path


def same(read: Rollouts, saved: Rollouts) -> None:
    for name in ("scores_RN", "relevant_RN", "lengths_R", "ended_R", "repeated_R", "copied_R"):
        before, after = getattr(saved, name), getattr(read, name)
        assert after.dtype == before.dtype, name
        assert np.allclose(after, before, atol=5.1e-7, rtol=0), name
    assert (read.group_size, read.budget, read.length_target) == (2, 16, 8)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    batches = read_rollouts(write(tmp_path / "rollouts.jsonl"))
    assert [saved.step for saved in batches] == [1, 1, 2]
    for saved, rollouts in zip(batches, (PAIR, FOUR, FOUR), strict=True):
        same(saved.rollouts, rollouts)
        assert list(saved.texts) == told(rollouts)


def test_a_line_is_for_people(tmp_path: Path) -> None:
    line = write(tmp_path / "rollouts.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert json.loads(line) == {
        "step": 1,
        "query_id": "q0",
        "question": "Why is ice löslich?\n",
        "thought": "thought 0",
        "tokens": 4,
        "ended": True,
        "forced": False,
        "repeated": 0.0,
        "copied": 0.0,
        "relevant": [0],
        "scores": [0.123457, 0.5],
        "group_size": 2,
        "budget": 16,
        "length_target": 8,
    }
    assert "löslich" in line


def test_a_resumed_run_drops_later_steps_and_a_torn_line(tmp_path: Path) -> None:
    path = write(tmp_path / "rollouts.jsonl")
    whole = path.read_bytes()
    cut_rollouts(path, 2)
    assert path.read_bytes() == whole
    with path.open("ab") as stream:
        stream.write(whole[:-20])
    cut_rollouts(path, 1)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 12
    assert {json.loads(line)["step"] for line in lines} == {1}
    cut_rollouts(tmp_path / "none.jsonl", 1)
    assert list(tmp_path.iterdir()) == [path]


def test_token_ids_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    ids = ((), (7,), (7, 8), tuple(range(16)))
    append_rollouts(path, 1, replace(FOUR, token_ids=ids), told(FOUR))
    append_rollouts(path, 2, FOUR, told(FOUR))
    first, second = (saved.rollouts for saved in read_rollouts(path))
    assert (first.token_ids, second.token_ids) == (ids, ())
    for found in (first, second):
        assert found.questions == ("Why is ice löslich?\n",) * 4
        assert found.thoughts == ("thought 0", "thought 1", "thought 2", "thought 3")


def change(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda record: record.update({field: value})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda record: record.pop("scores"), '2: field "scores" is missing; is this a file of'),
        (change("tokens", True), '2: field "tokens" must be a whole number, 0 or more'),
        (change("budget", -1), '2: field "budget" must be a whole number, 0 or more'),
        (change("ended", 1), '2: field "ended" must be true or false'),
        (change("thought", None), '2: field "thought" must be a string'),
        (change("copied", 1.5), '2: field "copied" must be a number from 0 to 1'),
        (change("repeated", float("nan")), '2: field "repeated" must be a number from 0 to 1'),
        (change("scores", [0.1, float("nan")]), '2: field "scores" must hold cosines'),
        (
            change("token_ids", [1, -1, 2, 3]),
            '2: field "token_ids" must be a list of whole numbers',
        ),
        (change("token_ids", "7"), '2: field "token_ids" must be a list of whole numbers'),
        (change("scores", ["a", 0.1]), '2: field "scores" must hold cosines'),
        (change("relevant", []), '2: field "relevant" must hold indices of scores, one or more'),
        (change("relevant", [2]), '2: field "relevant" must hold indices of scores, one or more'),
        (change("query_id", "other"), '1: in the batch that begins here, rollout 2 has "other"'),
        (change("step", 9), "1: in the batch that begins here, 1 rollouts do not make groups of 2"),
        (change("group_size", 0), "1: in the batch that begins here, 1 rollouts do not make"),
    ],
)
def test_broken_lines(tmp_path: Path, edit: Callable[[Any], Any], message: str) -> None:
    path = write(tmp_path / "rollouts.jsonl")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edit(records[1])
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    with pytest.raises(Thought1Error) as refused:
        read_rollouts(path)
    assert str(refused.value).startswith(f"{path}:{message}")


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    with pytest.raises(Thought1Error, match="cannot be read"):
        read_rollouts(path)
    path.write_text("\n")
    with pytest.raises(Thought1Error, match="is empty; it needs the rollouts"):
        read_rollouts(path)
    path.write_text("{torn")
    with pytest.raises(Thought1Error, match=r"rollouts\.jsonl:1: not valid JSON"):
        read_rollouts(path)
    with pytest.raises(Thought1Error, match="cannot be written"):
        append_rollouts(tmp_path / "no" / "folder", 1, PAIR, told(PAIR))


def test_each_rollout_needs_its_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        append_rollouts(tmp_path / "rollouts.jsonl", 1, FOUR, told(PAIR))
    assert list(tmp_path.iterdir()) == []
