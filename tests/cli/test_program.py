"""`t1` as a whole: help, exit codes, signals and pipes; and the commands that only start others."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from t1_command import Ran, T1Command

from thought1 import __version__


def test_version(t1: T1Command) -> None:
    assert t1("--version") == Ran(0, f"thought1 {__version__}\n", "")


def test_no_help_text_loads_anything_heavy() -> None:
    commands = [
        "index",
        "search",
        "think",
        "embed",
        "train",
        "evaluate",
        "export",
        "data",
        "worlds",
        "rewards",
        "env",
    ]
    script = (
        "import sys; from thought1.cli import main\n"
        f"codes = [main([c, '--help']) for c in {commands}]\n"
        "codes.append(main(['export', 'sentence-transformers', '--help']))\n"
        "heavy = {'torch', 'transformers', 'lancedb', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'{codes} {heavy}' if any(codes) or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage") == len(commands) + 1


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["search"], ["search", "x", "y", "--mode", "fuzzy"], ["env", "-z"]]
)
def test_wrong_usage_is_exit_code_2(t1: T1Command, arguments: list[str]) -> None:
    ran = t1(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage" in ran.err


def test_debug_shows_the_traceback(t1: T1Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_DEBUG", "1")
    ran = t1("search", "nowhere", "question", "--mode", "bm25")
    assert ran.code == 2
    assert "Traceback" in ran.err


def test_an_unexpected_failure_is_exit_code_1(
    t1: T1Command, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("gone wrong")

    monkeypatch.setattr("thought1.index.Index.remembered", fail)
    ran = t1("search", built, "question")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: unexpected RuntimeError: gone wrong (T1_DEBUG=1 shows where)\n"


RECIPE = """
name = "tiny"
model = { base = "nowhere" }
[[stages]]
name = "one"
sources = [{ path = "x", kind = "texts" }]
"""


def test_train_runs_the_recipe(
    t1: T1Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def train(recipe: Any) -> Path:
        given.append(recipe)
        print("{'loss': 1.0}")  # as the trainer does
        return Path("runs/done")

    monkeypatch.setattr("thought1.training.run.train", train)
    (tmp_path / "r.toml").write_text(RECIPE)
    ran = t1("train", tmp_path / "r.toml", "seed=7", "stages.0.max_steps=3")
    assert ran == Ran(0, "the model is in runs/done\n", "{'loss': 1.0}\n")
    assert (given[0].seed, given[0].stages[0].max_steps) == (7, 3)


def test_train_refuses_what_cannot_work(
    t1: T1Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    assert "no recipe at" in t1("train", tmp_path / "none.toml").error()
    assert "unknown key 'sede'" in t1("train", tmp_path / "r.toml", "sede=7").error()
    monkeypatch.setattr("thought1.cli.train.find_spec", lambda name: None)
    message = t1("train", tmp_path / "r.toml").error()
    assert message.endswith('pip install "thought1[train]"')


def test_export(t1: T1Command, tmp_path: Path, model: str) -> None:
    ran = t1("export", "sentence-transformers", "--model", model, "-o", tmp_path / "st")
    assert (ran.code, ran.err) == (0, "")
    assert (tmp_path / "st" / "modules.json").is_file()


def test_env(t1: T1Command) -> None:
    facts = t1("env", "--json").json()
    assert facts["thought1"] == __version__
    assert facts["devices"][-1] == "cpu"
    assert facts["threads"] == 1  # OMP_NUM_THREADS of the tests
    assert facts["packages"]["lancedb"]
    table = t1("env").out
    assert "lancedb" in table and "{" not in table


@pytest.mark.parametrize("wanted", ["auto", "torch"])
def test_env_shows_the_route_of_products(
    wanted: str, t1: T1Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_LINEAR", wanted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    facts = t1("env", "--json").json()
    linear = facts["linear"]
    assert facts["thoughts"]["name"] == "float32"
    assert facts["training"]["name"] in ("float32", "bfloat16")
    table = t1("env").out
    for kind in ("few", "many"):
        row = next(line for line in table.splitlines() if line.startswith(f"linear, {kind} rows"))
        assert linear[kind] in row
        for name, rate in linear["rates"].get(kind, {}).items():
            assert f"{name} {rate / 1e9:.0f} GFLOP/s" in row
    assert linear["kept"][:40] in table  # a long path is broken over lines


def test_a_route_that_is_none_is_refused(t1: T1Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_LINEAR", "fastest")
    assert "set it to auto, torch or onednn" in t1("env").error()


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    started = []

    def run(*arguments: object) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "thought1.cli", *map(str, arguments)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_ctrl_c_leaves_no_half_written_file(
    start: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path, model: str
) -> None:
    process = start(
        "embed", "--type", "query", "--no-think", "--model", model, "--input", "-",
        "--output", tmp_path / "out.jsonl",
    )  # fmt: skip
    assert process.stdin and process.stderr
    process.stdin.write(b"a question\n" * 300)  # one batch, and a part of the next
    process.stdin.flush()
    deadline = time.monotonic() + 120
    while not (parts := list(tmp_path.iterdir())) or parts[0].stat().st_size == 0:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    assert parts[0].name != "out.jsonl"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read() == b"interrupted\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_closed_pipe_is_quiet(
    start: Callable[..., "subprocess.Popen[bytes]"], built: str, options: list[str]
) -> None:
    process = start("search", built, "ice", "--mode", "bm25", *options)
    assert process.stdout and process.stderr
    process.stdout.close()  # as `| head` does when it has seen enough
    assert process.wait(timeout=120) == 1
    assert process.stderr.read() == b""
