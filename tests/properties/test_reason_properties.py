"""What holds for every plan and every batch of stage 2."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reason_recipe import query_rows, unpacked

from thought1.training.cross_fit import fold_of
from thought1.training.data.batches import Batch, BatchPlan, Mode, Rows
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator, ThoughtRows
from thought1.training.data.tokens import Trajectory
from thought1.training.losses import IGNORE_INDEX
from thought1.training.reason.prepare import plan_thoughts, rounds_read
from thought1.training.recipe import ReasonStage
from thought1.types import Thought

EMB = 99

shares = st.integers(0, 20).map(lambda n: n / 20)
schedules = st.tuples(shares, shares, shares).filter(lambda s: s[0] + max(s[1:]) <= 1)


def plan_of(sizes: Sequence[int]) -> BatchPlan:
    """Batches with so many queries; an empty one holds single texts."""
    batches = []
    for number, size in enumerate(sizes):
        ids = tuple(f"{number}-{q}" for q in range(size))
        positives = tuple((q,) for q in range(size))
        batches.append(
            Batch(ids, ids, positives, query_ids=ids) if size else Batch(thoughts=("0",))
        )
    return BatchPlan(batches)


@given(
    sizes=st.lists(st.integers(0, 5), max_size=25),
    schedule=schedules,
    every=st.integers(0, 7),
    per_step=st.integers(1, 4),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_plan_of_thoughts(
    sizes: list[int],
    schedule: tuple[float, float, float],
    every: int,
    per_step: int,
    seed: int,
    data: st.DataObject,
) -> None:
    none, start, end = schedule
    every = every if max(start, end) else 0
    stage = ReasonStage(
        "test", (), share_none=none, share_sampled_start=start, share_sampled_end=end,
        sampled_every=every, sampled_folds=2 if max(start, end) and not every else 0,
    )  # fmt: skip
    plain = plan_of(sizes)
    ids = [query_id for batch in plain.batches for query_id in batch.query_ids]
    known = set(data.draw(st.lists(st.sampled_from(ids)))) if ids else set()
    plan = plan_thoughts(plain, stage, known, seed, per_step)
    assert plan.batches == plan_thoughts(plain, stage, known, seed, per_step).batches
    assert len(plan) == len(plain)
    for number, (batch, before) in enumerate(zip(plan.batches, plain.batches, strict=True)):
        assert (batch.query_ids, batch.documents) == (before.query_ids, before.documents)
        assert len(batch.modes) == len(batch.query_ids)
        modes = dict(zip(batch.query_ids, batch.modes, strict=True))
        assert {q for q, mode in modes.items() if mode == "reference"} <= known
        if max(start, end) == 0:
            assert "own" not in batch.modes
        if none == 1:
            assert {*batch.modes} <= {"none"}
        if none == 0 == max(start, end):
            assert {q for q, mode in modes.items() if mode == "reference"} == known & modes.keys()
        # Sampled before the batch is made, which is a step before it is trained on.
        step = number // per_step
        assert batch.round * every <= max(step - 1, 0)
        if every:
            assert max(step - 1, 0) < (batch.round + 1) * every
    rounds = [batch.round for batch in plan.batches]
    assert rounds == sorted(rounds)
    assert rounds_read(plan) <= set(rounds)


@given(schedule=schedules, steps=st.integers(1, 4), seed=st.integers(0, 99))
def test_shares_over_many_queries(
    schedule: tuple[float, float, float], steps: int, seed: int
) -> None:
    none, start, end = schedule
    stage = ReasonStage(
        "test", (), share_none=none, share_sampled_start=start, share_sampled_end=end,
        sampled_folds=2 if max(start, end) else 0,
    )  # fmt: skip
    plain = plan_of([1500] * steps)
    known = {q for batch in plain.batches for i, q in enumerate(batch.query_ids) if i % 2}
    plan = plan_thoughts(plain, stage, known, seed, 1)
    for step, batch in enumerate(plan.batches):
        own = start + (end - start) * step / max(steps - 1, 1)
        expected: dict[Mode, float] = {"own": own, "reference": (1 - none - own) / 2}
        expected["none"] = 1 - sum(expected.values())
        for mode, share in expected.items():
            # Five deviations of a share of 1500.
            assert batch.modes.count(mode) / 1500 == pytest.approx(share, abs=0.065)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), every=st.integers(1, 3))
def test_no_round_is_read_that_no_step_precedes(sizes: list[int], every: int) -> None:
    assume(sum(sizes) > 0)
    stage = ReasonStage(
        "test", (), share_none=0, share_sampled_start=1, share_sampled_end=1, sampled_every=every
    )
    rounds = rounds_read(plan_thoughts(plan_of(sizes), stage, set(), 0, 1))
    assert 0 in rounds
    assert max(rounds) * every < len(sizes)


# -- batches -------------------------------------------------------------------------------------

tokens = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)
references = st.none() | st.builds(
    Trajectory, st.lists(st.integers(11, 19), max_size=4).map(tuple), st.booleans()
)
modes: st.SearchStrategy[Mode] = st.sampled_from(["none", "reference", "own"])
queries = st.lists(
    st.tuples(tokens, references, st.lists(st.integers(21, 29), max_size=4).map(tuple), modes),
    min_size=1,
    max_size=6,
)


class Held(SampledThoughts):
    """Thoughts in memory."""

    def __init__(self, thoughts: dict[str, tuple[int, ...]]) -> None:
        super().__init__(Path())
        self._read = 4, dict(thoughts)


@given(drawn=queries, language=st.booleans())
def test_rows_of_a_batch(
    drawn: list[tuple[tuple[int, ...], Trajectory | None, tuple[int, ...], Mode]], language: bool
) -> None:
    """Vectors behind what the modes say; every reference is learnt once, whatever they say."""
    prompts = {str(i): prompt for i, (prompt, _, _, _) in enumerate(drawn)}
    known = {str(i): reference for i, (_, reference, _, _) in enumerate(drawn) if reference}
    own = {str(i): thought for i, (_, _, thought, _) in enumerate(drawn)}
    asked: list[Mode] = [
        "none" if mode == "reference" and str(i) not in known else mode
        for i, (_, _, _, mode) in enumerate(drawn)
    ]
    rows = ThoughtRows(Rows({}, {}, {}), prompts, known, EMB)
    batch = Batch(query_ids=tuple(prompts), modes=tuple(asked), round=4)
    tensors = ThoughtCollator(rows, Held(own), language=language).queries(batch)
    thoughts = {("own", query_id): own[query_id] for query_id in prompts} | {
        ("reference", query_id): reference.ids for query_id, reference in known.items()
    }
    expected = [
        [*prompts[q], *thoughts.get((mode, q), ()), EMB]
        for q, mode in zip(prompts, asked, strict=True)
    ]
    assert query_rows(tensors) == expected
    if not language:
        assert len(unpacked(tensors)) == len(prompts)
        return
    learnt = []
    for row, marks in zip(unpacked(tensors), unpacked(tensors, "labels"), strict=True):
        places = [i for i, mark in enumerate(marks) if mark != IGNORE_INDEX]
        assert all(marks[i] == row[i] for i in places)
        if places:
            learnt.append([marks[i] for i in places])
            start = places[0]
            # Nothing of the prompt, and all up to the end of the row but a cut thought's end.
            assert tuple(row[:start]) in prompts.values()
            assert places == list(range(start, places[-1] + 1))
    wanted = [[*t.ids, *([] if t.cut else [EMB])] for t in known.values()]
    assert sorted(learnt) == sorted(row for row in wanted if row)


def test_a_round_in_memory_is_a_round_on_disk(tmp_path: Path) -> None:
    """What `Held` stands for above."""
    own = SampledThoughts(tmp_path)
    own.write(4, {"a": Thought("", (1, 2), "budget")})
    held = Held({"a": (1, 2)}).read(4)
    assert {q: tuple(ids) for q, ids in own.read(4).items()} == held


@given(text=st.text(), folds=st.integers(2, 9))
def test_every_question_has_one_fold(text: str, folds: int) -> None:
    assert 0 <= fold_of(text, folds) < folds
    assert fold_of(text, folds) == fold_of("".join(text), folds)
