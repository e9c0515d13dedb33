"""`t1 serve` as a process: where it listens, what it refuses, and that it ends well."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from t1_command import T1Command, small_checkpoint

from thought1.serving.tokens import add_token
from thought1.store import lance_commits


def test_beyond_this_machine_it_needs_tokens(t1: T1Command, built: str) -> None:
    error = t1("serve", built, "--host", "0.0.0.0").error()
    assert "t1 tokens add FILE NAME" in error
    assert "--no-token" in error


def test_what_is_wrong_is_told_before_a_model_is_loaded(
    t1: T1Command, built: str, tmp_path: Path
) -> None:
    assert "no index at" in t1("serve", tmp_path / "none").error()
    assert "cannot be read" in t1("serve", built, "--tokens", tmp_path / "none.json").error()
    (tmp_path / "tokens.json").write_text("{}")
    (tmp_path / "tokens.json").chmod(0o600)
    assert "no token file" in t1("serve", built, "--tokens", tmp_path / "tokens.json").error()
    assert "no site at" in t1("serve", built, "--site", tmp_path).error()
    assert "NAME=DIR" in t1("serve", "a/b=c").error()


def test_a_damaged_index_and_a_missing_model_are_told_at_the_start(
    t1: T1Command, built: str, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(built, tmp_path / "broken.index"))
    for file in (broken / "documents.lance" / "data").rglob("*.lance"):
        file.write_bytes(bytes(file.stat().st_size))
    assert f"the index at {broken} cannot be used" in t1("serve", broken).error()
    assert "no-model" in t1("serve", built, "--model", tmp_path / "no-model").error()


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("_versions", b"", "cannot be read"),
        ("_versions", b"junk", "cannot be read"),
        ("_indices", b"junk", "cannot be used"),
        ("data", b"junk", "cannot be used"),
    ],
)
def test_damage_of_any_part_is_told_at_the_start(
    t1: T1Command,
    built: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    content: bytes,
    said: str,
) -> None:
    monkeypatch.setattr(lance_commits, "FAILURE_SECONDS", 0.1)
    broken = Path(shutil.copytree(built, tmp_path / "broken.index"))
    for file in (broken / "documents.lance" / part).rglob("*"):
        if file.is_file():
            file.write_bytes(content)
    assert f"the index at {broken} {said}" in t1("serve", broken).error()


def test_a_model_that_is_gone_damaged_or_another_one_is_told_at_the_start(
    t1: T1Command, built: str, collection: Path, tmp_path: Path
) -> None:
    other, folder = Path(small_checkpoint(tmp_path, seed=1)), tmp_path / "other.index"
    error = t1("serve", built, "--model", other).error()
    assert f"the index at {built} needs the model" in error
    assert "differs in weights" in error
    assert t1("index", collection, "-o", folder, "--model", other).code == 0
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert f"{other} cannot be loaded" in t1("serve", folder).error()
    shutil.rmtree(other)
    assert str(other) in t1("serve", folder).error()


def test_two_indexes_need_two_names(t1: T1Command, built: str) -> None:
    assert "two indexes are named 'notes'" in t1("serve", built, f"notes={built}").error()


@pytest.fixture
def secret(tmp_path: Path) -> tuple[Path, str]:
    file = tmp_path / "tokens.json"
    return file, add_token(file, "test", "write")


def test_it_serves_and_finishes_what_runs(built: str, secret: tuple[Path, str]) -> None:
    file, token = secret
    command = [sys.executable, "-m", "thought1.cli", "serve", built, f"again={built}"]
    command += ["--port", "0", "--tokens", str(file), "--log-requests"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(one for one in process.stderr if one.startswith("serving"))
            assert line.startswith("serving notes, again at http://127.0.0.1:")
            url = line.split()[-1]

            def ask(**body: Any) -> Any:
                request = urllib.request.Request(
                    f"{url}/v1/search",
                    json.dumps({"query": "ice", "index": "again", **body}).encode(),
                    {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
                )
                with urllib.request.urlopen(request, timeout=240) as answer:
                    return json.load(answer)

            assert ask(mode="bm25")["results"][0]["hits"][0]["id"] == "ice"
            answers: list[Any] = []
            many = ["why do ice cubes crack"] * 64
            asking = threading.Thread(target=lambda: answers.append(ask(query=many, think=40)))
            asking.start()
            # It is told to end while a step of that is running.
            while "t1_batch_rows_count" not in _metrics(url, token):
                pass
            process.send_signal(signal.SIGTERM)
            asking.join(240)
            assert len(answers[0]["results"]) == 64
            assert process.wait(240) == 0
            log = process.stderr.read()
        finally:
            process.kill()
    assert "method=POST route=/v1/search status=200" in log
    assert token not in log
    assert "ice cubes" not in log


def _metrics(url: str, token: str) -> str:
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=240) as answer:
        text: str = answer.read().decode()
    return text
