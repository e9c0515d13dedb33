"""`t1 calibrate`, and the searches that think as it says."""

import json
from pathlib import Path

import pytest
from t1_command import T1Command


def test_calibrate_and_search_adaptively(t1: T1Command, built: str, tmp_path: Path) -> None:
    questions, qrels = tmp_path / "q.jsonl", tmp_path / "q.tsv"
    asked = ["ice cubes crack", "salt on roads", "a kettle boils", "the sea", "warm water"]
    lines = [json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(asked)]
    questions.write_text("\n".join(lines))
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{i}\tice\t1\n" for i in range(5)))
    files = ("--questions", questions, "--qrels", qrels, "--mode", "dense")
    search = ("search", built, "ice", "--mode", "dense", "--adaptive", "calibrated")
    assert "is not calibrated" in t1(*search).error()
    found = t1("calibrate", built, *files, "--checkpoints", "0,2,4", "--json").json()
    assert (found["questions"], found["budget"], found["mode"]) == (5, 4, "dense")
    assert found["chosen"]["tokens"] <= found["full"]["tokens"] == 4
    assert "held out" in t1("calibrate", built, *files, "--checkpoints", "0,2,4").out
    assert t1(*search, "--json").json()["receipt"]["thought_tokens"] <= 4
    for flags, message in (
        (("--checkpoints", "2,4"), "begin with 0"),
        (("--keep", "0"), "a share above 0"),
        (("--mode", "bm25"), "nothing to calibrate"),
    ):
        assert message in t1("calibrate", built, *files, *flags).error()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--adaptive", "luck=1"], "a gate goes by"),
        (["--adaptive", "margin"], "such as overlap=0.9,margin=0.05"),
        (["--adaptive", "score=1,margin=1"], "one gate at most, not score and margin"),
        (["--adaptive", "calibrated", "--think", "4"], "as `t1 calibrate` has found"),
        (["--adaptive", "calibrated", "--mode", "bm25"], "as `t1 calibrate` has found"),
        (["--adaptive", "cosine=0.9", "--samples", "2"], "for one thought"),
    ],
)
def test_flags_that_cannot_be(t1: T1Command, built: str, flags: list[str], message: str) -> None:
    assert message in t1("search", built, "ice", *flags).error()


def test_a_gate_and_a_stop_by_flags(t1: T1Command, built: str) -> None:
    arguments = ("search", built, "ice", "--mode", "dense", "--json")
    assert t1(*arguments, "--adaptive", "score=-2").json()["receipt"]["thought_tokens"] == 0
    stopped = t1(*arguments, "--think", "30", "--adaptive", "overlap=0").json()
    assert stopped["results"][0]["thought"]["finish_reason"] in ("settled", "emb_token", "eos")
    assert stopped["receipt"]["thought_tokens"] <= 8
