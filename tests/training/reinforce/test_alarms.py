"""Every alarm rings where it should, once, and is silent where it should be."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

from thought1.training.reinforce.alarms import ADVICE, Alarm, Alarms, EvalFacts, StepFacts

BUDGET = 64
WINDOW = 4
GOOD = StepFacts(
    step=0,
    loss=0.1,
    reward=0.5,
    length=20.0,
    forced=0.1,
    no_variance=0.2,
    repeated=0.05,
    copied=0.3,
)
USED = EvalFacts(step=0, ndcg=0.40, swapped_ndcg=0.30, swapped_cosine=0.7)


def walk(alarms: Alarms, steps: Sequence[StepFacts], start: int = 1) -> list[Alarm]:
    """Number the steps, and gather what rings."""
    rung = []
    for number, facts in enumerate(steps, start):
        rung += alarms.on_step(replace(facts, step=number))
    return rung


def after_good_start(bad: StepFacts, steps: int = WINDOW) -> list[Alarm]:
    return walk(Alarms(BUDGET, WINDOW), [GOOD] * WINDOW + [bad] * steps)


def evaluate(alarms: Alarms, rewards: Sequence[float], ndcgs: Sequence[float]) -> list[list[Alarm]]:
    """A few steps of each reward, then an evaluation; what rings at each of these."""
    rung = []
    for number, (reward, ndcg) in enumerate(zip(rewards, ndcgs, strict=True), 1):
        assert walk(alarms, [replace(GOOD, reward=reward)] * 3) == []
        rung.append(alarms.on_evaluation(replace(USED, step=number, ndcg=ndcg)))
    return rung


@pytest.mark.parametrize(
    ("bad", "name", "seen"),
    [
        (replace(GOOD, length=4.9), "length-collapse", "have 4.9 of at most 64 tokens, 20.0 at"),
        (replace(GOOD, length=31.0, forced=0.95), "length-explosion", "have 31.0 of at most 64"),
        (replace(GOOD, length=61.0), "length-explosion", "have 61.0 of at most 64 tokens, 20.0 at"),
        (replace(GOOD, no_variance=0.95), "no-variance", "in 95% of the groups"),
        (replace(GOOD, repeated=0.4), "repetition", "31% of a thought's 3-grams"),
        (replace(GOOD, copied=0.85), "copying", "85% of a thought is copied"),
    ],
)
def test_a_window_of_bad_steps_rings_once(bad: StepFacts, name: str, seen: str) -> None:
    (alarm,) = after_good_start(bad, 3 * WINDOW)
    assert alarm.name == name
    assert WINDOW < alarm.step <= 2 * WINDOW
    assert seen in alarm.text
    assert alarm.text.endswith(ADVICE[name])


@pytest.mark.parametrize(
    "fine",
    [
        replace(GOOD, length=5.1),
        replace(GOOD, length=29.0, forced=1.0),
        replace(GOOD, length=60.0, forced=0.8),
        replace(GOOD, no_variance=0.9),
        replace(GOOD, repeated=0.29),
        replace(GOOD, copied=0.8),
    ],
)
def test_just_inside_the_limits_nothing_rings(fine: StepFacts) -> None:
    assert after_good_start(fine, 3 * WINDOW) == []


def test_less_than_a_token_rings_from_the_start() -> None:
    (alarm,) = walk(Alarms(BUDGET, WINDOW), [replace(GOOD, length=0.9)] * 6)
    assert (alarm.name, alarm.step) == ("length-collapse", WINDOW)


def test_thoughts_that_always_filled_the_budget_have_not_exploded() -> None:
    first, later = replace(GOOD, length=40.0), replace(GOOD, length=63.0)
    assert walk(Alarms(BUDGET, WINDOW), [first] * WINDOW + [later] * 8) == []


def test_one_bad_step_is_not_a_window() -> None:
    assert after_good_start(replace(GOOD, repeated=1.0, copied=1.0, no_variance=1.0), 1) == []


def test_nothing_is_judged_before_the_window_is_full() -> None:
    assert walk(Alarms(BUDGET, WINDOW), [replace(GOOD, copied=1.0)] * (WINDOW - 1)) == []


@pytest.mark.parametrize(
    ("bad", "seen"),
    [
        (replace(GOOD, loss=nan), "loss is nan:"),
        (replace(GOOD, reward=-inf), "reward is -inf:"),
        (replace(GOOD, length=nan), "length is nan:"),
    ],
)
def test_nan_rings_at_once_and_leaves_the_means_alone(bad: StepFacts, seen: str) -> None:
    alarms = Alarms(BUDGET, WINDOW)
    (alarm,) = walk(alarms, [bad, bad, *[GOOD] * WINDOW])
    assert (alarm.name, alarm.step) == ("nan", 1)
    assert alarm.text.startswith(seen)
    assert [a.name for a in walk(alarms, [replace(GOOD, length=1.0)] * WINDOW)] == [
        "length-collapse"
    ]


def test_an_evaluation_that_is_not_finite_rings() -> None:
    alarms = Alarms(BUDGET)
    (alarm,) = alarms.on_evaluation(replace(USED, step=7, swapped_cosine=nan))
    assert (alarm.name, alarm.step) == ("nan", 7)
    assert "swapped_cosine is nan" in alarm.text


def test_an_alarm_rings_again_only_after_it_has_ceased() -> None:
    bad = replace(GOOD, copied=1.0)
    rung = walk(Alarms(BUDGET, WINDOW), [bad] * 10 + [GOOD] * 10 + [bad] * 10)
    assert [(alarm.name, alarm.step) for alarm in rung] == [("copying", 4), ("copying", 23)]
    broken = replace(GOOD, loss=nan)
    rung = walk(Alarms(BUDGET, WINDOW), [broken, GOOD, broken, broken])
    assert [alarm.step for alarm in rung] == [1, 3]


def test_what_an_event_does_not_judge_goes_on_ringing() -> None:
    alarms = Alarms(BUDGET, WINDOW)
    bad = replace(GOOD, copied=1.0)
    assert len(walk(alarms, [bad] * WINDOW)) == 1
    assert alarms.on_evaluation(USED) == []
    assert [a.name for a in walk(alarms, [replace(bad, loss=nan), bad, bad])] == ["nan"]


@pytest.mark.parametrize(
    ("facts", "seen", "unseen"),
    [
        (replace(USED, swapped_ndcg=0.396), "swapped thoughts retrieve", "hardly depend"),
        (replace(USED, swapped_ndcg=0.45), "own 0.400, swapped 0.450", "hardly depend"),
        (replace(USED, swapped_cosine=0.985), "hardly depend", "swapped thoughts retrieve"),
    ],
)
def test_ignored_thoughts_ring(facts: EvalFacts, seen: str, unseen: str) -> None:
    alarms = Alarms(BUDGET)
    (alarm,) = alarms.on_evaluation(facts)
    assert alarm.name == "ignored"
    assert seen in alarm.text
    assert unseen not in alarm.text
    assert alarms.on_evaluation(facts) == []
    assert alarms.on_evaluation(USED) == []
    assert len(alarms.on_evaluation(facts)) == 1


def test_thoughts_that_are_used_do_not_ring() -> None:
    used = replace(USED, swapped_ndcg=0.394, swapped_cosine=0.979)
    assert Alarms(BUDGET).on_evaluation(used) == []


def test_where_nothing_is_thought_nothing_is_ignored() -> None:
    alarms = Alarms(BUDGET, WINDOW)
    walk(alarms, [replace(GOOD, length=0.0)] * WINDOW)
    same = replace(USED, swapped_ndcg=USED.ndcg, swapped_cosine=1.0)
    assert alarms.on_evaluation(same) == []
    walk(alarms, [GOOD])
    assert [alarm.name for alarm in alarms.on_evaluation(same)] == ["ignored"]


def test_hacking_rings_at_the_second_fall() -> None:
    alarms = Alarms(BUDGET)
    rung = evaluate(alarms, [0.5, 0.6, 0.6, 0.7, 0.7], [0.45, 0.43, 0.42, 0.41, 0.40])
    assert [[alarm.name for alarm in at] for at in rung] == [[], [], ["hacking"], [], []]
    text = rung[2][0].text
    assert "fell from 0.450 to 0.420 while the mean reward rose from 0.500 to 0.600" in text


def test_hacking_is_seen_where_the_best_was_measured_before_any_step() -> None:
    alarms = Alarms(BUDGET)
    assert alarms.on_evaluation(replace(USED, ndcg=0.45)) == []
    rung = evaluate(alarms, [0.5, 0.6, 0.7], [0.43, 0.42, 0.41])
    assert [len(at) for at in rung] == [0, 0, 1]


@pytest.mark.parametrize(
    ("rewards", "ndcgs"),
    [
        ([0.5, 0.6, 0.7, 0.8], [0.40, 0.41, 0.42, 0.43]),  # both rise
        ([0.5, 0.4, 0.4, 0.3], [0.45, 0.43, 0.42, 0.41]),  # both fall
        ([0.5, 0.6, 0.7, 0.8], [0.45, 0.43, 0.45, 0.43]),  # never twice in a row
        ([0.5, 0.6, 0.7, 0.8], [0.45, 0.445, 0.442, 0.441]),  # hardly any fall
    ],
)
def test_hacking_is_silent(rewards: list[float], ndcgs: list[float]) -> None:
    assert evaluate(Alarms(BUDGET), rewards, ndcgs) == [[], [], [], []]


@pytest.mark.parametrize("cut", range(1, 30, 3))
def test_a_resumed_run_rings_as_an_unbroken_one(cut: int) -> None:
    """Steps with an evaluation after every fifth; interrupted after step `cut`."""
    bad = replace(GOOD, length=3.0, copied=0.9, reward=0.7)
    steps = [*[GOOD] * 6, *[bad] * 14, *[GOOD] * 10]
    falling = [replace(USED, ndcg=0.45 - i / 30) for i in range(6)]

    def run(alarms: Alarms, first: int, last: int) -> list[Alarm]:
        rung = []
        for number in range(first, last + 1):
            rung += walk(alarms, [steps[number - 1]], number)
            if number % 5 == 0:
                rung += alarms.on_evaluation(replace(falling[number // 5 - 1], step=number))
        return rung

    whole = run(Alarms(BUDGET, WINDOW), 1, 30)
    assert {alarm.name for alarm in whole} == {"length-collapse", "copying", "ignored", "hacking"}
    before, after = Alarms(BUDGET, WINDOW), Alarms(BUDGET, WINDOW)
    rung = run(before, 1, cut)
    after.load_state_dict(json.loads(json.dumps(before.state_dict(), allow_nan=False)))
    assert rung + run(after, cut + 1, 30) == whole


@pytest.mark.parametrize(("budget", "window"), [(0, 20), (64, 0)])
def test_an_impossible_budget_or_window_is_refused(budget: int, window: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Alarms(budget, window)


def test_the_page_lists_every_alarm() -> None:
    page = (Path(__file__).parents[3] / "docs" / "alarms.md").read_text(encoding="utf-8")
    names = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert names == list(ADVICE)
