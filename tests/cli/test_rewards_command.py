"""`t1 rewards`: its tables, its JSON, and what it refuses."""

from pathlib import Path

import pytest
from rollout_batch import batch, told
from t1_command import T1Command

from thought1.data.rollouts import append_rollouts


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "rollouts.jsonl"
    for step, rest in enumerate(([0.1], [0.1, 0.2]), start=1):
        rollouts = batch(
            [[score, *rest] for score in (0.0, 0.15, 0.3, 0.9)],
            [[1] + [0] * len(rest)] * 4,
            lengths=[8, 12, 12, 16],
            group_size=4,
        )
        append_rollouts(path, step, rollouts, told(rollouts))
    return path


def test_tables(t1: T1Command, saved: Path) -> None:
    ran = t1("rewards", saved)
    assert ran.code == 0, ran.err
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["length", "0.5000", "0.4082", "0.0%"] in rows
    assert ["format", "1.0000", "0.0000", "100.0%"] in rows
    assert ["5", "format", "-", "-", "-", "-"] in rows
    assert ran.out.endswith("8 rollouts, 2 groups, 2 batches\n")


def test_json_with_a_reward_of_ones_own(
    t1: T1Command, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "short_rewards.py").write_text(
        "def short(rollouts):\n    return -rollouts.lengths_R\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = "short_rewards:short"
    report = t1("rewards", saved, "--reward", own, "--reward", "ndcg", "--json").json()
    assert [figures["name"] for figures in report["rewards"]][-2:] == ["repetition", own]
    assert report["rewards"][-1]["mean"] == -12
    pair = [r for r in report["correlations"] if (r["first"], r["second"]) == ("length", own)]
    assert pair[0]["within"] == pytest.approx(1)
    assert pair[0]["overall"] == pytest.approx(1)
    assert pair[0]["groups"] == 2


def test_a_reward_that_reads_texts(
    t1: T1Command, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text_rewards.py").write_text(
        "def last_word(rollouts):\n    return [int(t.split()[-1]) for t in rollouts.thoughts]\n"
        "def strict(rollouts):\n    return [rollouts.token_ids[0][0]]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    report = t1("rewards", saved, "--reward", "text_rewards:last_word", "--json").json()
    assert report["rewards"][-1]["mean"] == 1.5  # "thought 0" to "thought 3"
    assert t1("rewards", saved, "--reward", "text_rewards:strict").error() == (
        "error: the reward 'text_rewards:strict' failed: IndexError: tuple index out of range "
        "(these rollouts have no token_ids)"
    )


def test_refused(t1: T1Command, saved: Path, tmp_path: Path) -> None:
    unknown = t1("rewards", saved, "--reward", "mrr").error()
    assert unknown.startswith("error: unknown reward 'mrr': use one of ndcg, ")
    assert "cannot be read" in t1("rewards", tmp_path / "none.jsonl").error()
    saved.write_text(saved.read_text() + '{"step": 3}\n')
    assert t1("rewards", saved).error() == (
        f'error: {saved}:9: field "query_id" is missing; is this a file of rollouts?'
    )
