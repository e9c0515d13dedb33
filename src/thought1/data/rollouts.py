"""Saved rollouts: one JSON line for each thought that was sampled in reinforcement.

What a reward needs, and what a person wants to read; the rewards themselves are not in the file.
Knows neither a reward nor the training that writes it.

A line: `step`, `query_id`, `question`, `thought`, `tokens`, `ended`, `forced`, `repeated`,
`copied`, `relevant` (indices of the relevant candidates, from 0), `scores` (cosines to all
candidates, rounded to 6 digits: what differs only beyond that is a tie when read back),
`group_size`, `budget`, `length_target`; `token_ids`, those of the thought, where they were known.
Lines that follow one another and agree in step, number of
candidates and the last three make one batch.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thought1.data.outputs import whole_file
from thought1.data.rows import (
    DEFAULT_OPTIONS,
    BadRow,
    parse_object,
    quote,
    read_lines,
    show_path,
)
from thought1.rewards import Rollouts
from thought1.types import Thought1Error

_DIGITS = 6

_WHOLE = ((int,), "a whole number, 0 or more")
_BOOLEAN = ((bool,), "true or false")
_STRING = ((str,), "a string")
_LIST = ((list,), "a list")
_SHARE = ((int, float), "a number from 0 to 1")

_FIELDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "step": _WHOLE,
    "query_id": _STRING,
    "question": _STRING,
    "thought": _STRING,
    "tokens": _WHOLE,
    "ended": _BOOLEAN,
    "forced": _BOOLEAN,
    "repeated": _SHARE,
    "copied": _SHARE,
    "relevant": _LIST,
    "scores": _LIST,
    "group_size": _WHOLE,
    "budget": _WHOLE,
    "length_target": _WHOLE,
}


@dataclass(frozen=True, slots=True)
class RolloutText:
    """What a person reads about one rollout."""

    query_id: str
    question: str
    thought: str
    forced: bool
    """`<emb_token>` was put after the thought instead of sampled by the model."""


@dataclass(frozen=True, slots=True)
class SavedRollouts:
    """A batch as it was saved, its scores rounded."""

    step: int
    rollouts: Rollouts
    texts: tuple[RolloutText, ...]
    """One for each rollout."""


def append_rollouts(
    path: Path, step: int, rollouts: Rollouts, texts: Sequence[RolloutText]
) -> None:
    """Add a batch to the end of the file, which is made where there is none.

    Raises:
        Thought1Error: the file cannot be written.
        ValueError: not one `RolloutText` for each rollout, or a score that is not finite.
    """
    lines = [
        json.dumps(_record(step, rollouts, row, about), ensure_ascii=False, allow_nan=False) + "\n"
        for row, about in zip(range(len(rollouts.lengths_R)), texts, strict=True)
    ]
    try:
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write("".join(lines))
    except OSError as error:
        raise Thought1Error(f"{show_path(path)} cannot be written: {error}") from error


def cut_rollouts(path: Path, step: int) -> None:
    """Drop the batches after `step`, which a resumed run samples again, and what a kill tore off.

    Nothing happens where there is no file. The lines up to `step` stay as they are.

    Raises:
        Thought1Error: the file cannot be read or written.
    """
    if not path.exists():
        return
    with whole_file(path) as stream:
        for line in read_lines(path, DEFAULT_OPTIONS.max_line_bytes):
            if isinstance(line, BadRow) or not line.text.endswith("\n"):
                continue
            if _parse(line.text, line.location)["step"] <= step:
                stream.write(line.text.encode())


def read_rollouts(path: Path) -> list[SavedRollouts]:
    """The batches of a file (may be .gz), in its order.

    Raises:
        Thought1Error: with file and line: a line that is not one of `append_rollouts`, a group of
            different questions, or an incomplete one; or the file is empty or cannot be read.
    """
    batches = [
        _batch([record for _, record in rows], rows[0][0])
        for _, run in itertools.groupby(_records(path), key=lambda row: _batch_key(row[1]))
        if (rows := list(run))
    ]
    if not batches:
        raise Thought1Error(f"{show_path(path)} is empty; it needs the rollouts of a training run")
    return batches


def _token_ids(rollouts: Rollouts, row: int) -> dict[str, object]:
    return {"token_ids": list(rollouts.token_ids[row])} if rollouts.token_ids else {}


def _record(step: int, rollouts: Rollouts, row: int, about: RolloutText) -> dict[str, object]:
    return {
        "step": step,
        "query_id": about.query_id,
        "question": about.question,
        "thought": about.thought,
        "tokens": int(rollouts.lengths_R[row]),
        "ended": bool(rollouts.ended_R[row]),
        "forced": about.forced,
        "repeated": round(float(rollouts.repeated_R[row]), _DIGITS),
        "copied": round(float(rollouts.copied_R[row]), _DIGITS),
        "relevant": np.flatnonzero(rollouts.relevant_RN[row]).tolist(),
        "scores": [round(float(score), _DIGITS) for score in rollouts.scores_RN[row]],
        "group_size": rollouts.group_size,
        "budget": rollouts.budget,
        "length_target": rollouts.length_target,
        **_token_ids(rollouts, row),
    }


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's place and its checked fields."""
    for line in read_lines(path, DEFAULT_OPTIONS.max_line_bytes):
        if isinstance(line, BadRow):
            raise line
        if line.text.strip():
            yield line.location, _parse(line.text, line.location)


def _parse(text: str, location: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = parse_object(text)
        _check(record)
    except BadRow as bad:
        raise bad.at(location) from None
    return record


def _check(record: Mapping[str, Any]) -> None:
    for name, (kinds, wanted) in _FIELDS.items():
        if name not in record:
            raise BadRow(f'field "{name}" is missing; is this a file of rollouts?')
        value = record[name]
        # The exact type: to Python, true is a whole number.
        good = type(value) in kinds
        if good and kinds == _WHOLE[0]:
            good = 0 <= value < 2**63
        if good and kinds == _SHARE[0]:
            good = 0 <= value <= 1
        if not good:
            raise BadRow(f'field "{name}" must be {wanted}')
    ids = record.get("token_ids", [])
    if not isinstance(ids, list) or not all(type(token) is int and token >= 0 for token in ids):
        raise BadRow('field "token_ids" must be a list of whole numbers, 0 or more')
    scores, relevant = record["scores"], record["relevant"]
    if not all(type(score) in (int, float) and -2 < score < 2 for score in scores):
        raise BadRow('field "scores" must hold cosines')
    if not relevant or not all(type(at) is int and 0 <= at < len(scores) for at in relevant):
        raise BadRow('field "relevant" must hold indices of scores, one or more')


def _batch_key(record: Mapping[str, Any]) -> tuple[int, ...]:
    own = (record["step"], record["group_size"], record["budget"], record["length_target"])
    return (*own, len(record["scores"]))


def _all_token_ids(records: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, ...], ...]:
    if not all("token_ids" in record for record in records):
        return ()
    return tuple(tuple(record["token_ids"]) for record in records)


def _batch(records: Sequence[Mapping[str, Any]], location: str) -> SavedRollouts:
    first = records[0]
    group_size, candidates = first["group_size"], len(first["scores"])
    relevant_RN = np.zeros((len(records), candidates), dtype=np.bool_)
    for row, record in enumerate(records):
        relevant_RN[row, record["relevant"]] = True
    try:
        rollouts = Rollouts(
            scores_RN=np.array([record["scores"] for record in records], dtype=np.float32),
            relevant_RN=relevant_RN,
            lengths_R=np.array([record["tokens"] for record in records], dtype=np.int64),
            ended_R=np.array([record["ended"] for record in records], dtype=np.bool_),
            repeated_R=np.array([record["repeated"] for record in records], dtype=np.float64),
            copied_R=np.array([record["copied"] for record in records], dtype=np.float64),
            group_size=group_size,
            budget=first["budget"],
            length_target=first["length_target"],
            questions=tuple(record["question"] for record in records),
            thoughts=tuple(record["thought"] for record in records),
            token_ids=_all_token_ids(records),
        )
    except ValueError as error:
        raise Thought1Error(f"{location}: in the batch that begins here, {error}") from None
    texts = tuple(
        RolloutText(record["query_id"], record["question"], record["thought"], record["forced"])
        for record in records
    )
    for row, about in enumerate(texts):
        if about.query_id != texts[row - row % group_size].query_id:
            raise Thought1Error(
                f"{location}: in the batch that begins here, rollout {row + 1} has "
                f"{quote(about.query_id)}, its group of {group_size} another question"
            )
    return SavedRollouts(first["step"], rollouts, texts)
