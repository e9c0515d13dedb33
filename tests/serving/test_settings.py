"""Flags, environment, file, defaults: one order, and nothing unknown in any of them."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from thought1.serving.limits import Limits
from thought1.serving.settings import ServeSettings, read_settings
from thought1.types import Thought1Error

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "serve.toml"
    path.write_text(
        'indexes = ["notes.index", "papers=/data/papers.index"]\n'
        'port = 7000\nhost = "::1"\nmax_think = 64\ntokens = "tokens.json"\nsite = "pages"\n'
        'model = "owner/name"\n',
        encoding="utf-8",
    )
    return path


def test_flags_win_over_variables_over_the_file_over_defaults(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_SERVE_PORT", "7001")
    monkeypatch.setenv("T1_SERVE_MAX_THINK", "65")
    found = read_settings({"port": 7002}, file)
    assert (found.port, found.max_think, found.host, found.timeout) == (7002, 65, "::1", 120.0)
    assert read_settings({}, file).port == 7001
    monkeypatch.delenv("T1_SERVE_PORT")
    assert read_settings({}, file).port == 7000
    assert read_settings({}).port == 8000


def test_the_environment_may_name_the_file_and_write_lists(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_SERVE_CONFIG", str(file))
    monkeypatch.setenv("T1_SERVE_ALLOW_HOST", "a.example, b.example")
    monkeypatch.setenv("T1_SERVE_LOG_REQUESTS", "true")
    found = read_settings({})
    assert (found.port, found.log_requests) == (7000, True)
    assert found.allow_host == ["a.example", "b.example"]


def test_paths_of_a_file_are_beside_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_settings({}, file)
    assert found.indexes == [str(file.parent / "notes.index"), "papers=/data/papers.index"]
    assert found.tokens == file.parent / "tokens.json"
    assert found.site == file.parent / "pages"
    assert found.model == "owner/name"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("ports = 1", "no setting 'ports'; there are: indexes, model"),
        ("port = 70000", r"serve\.toml: port: .*65535"),
        ('port = "x"', r"serve\.toml: port: .*integer"),
        ("max_batch = 0", "max_batch"),
        ("timeout = nan", "timeout"),
        ('log_format = "xml"', "'text' or 'json'"),
        ("port = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(Thought1Error, match=problem):
        read_settings({}, path)


def test_wrong_variables_and_flags_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Thought1Error, match=r"^--max-batch: max_batch: .*1"):
        read_settings({"max_batch": 0})
    with pytest.raises(Thought1Error, match="cannot be read"):
        read_settings({}, tmp_path / "none.toml")
    monkeypatch.setenv("T1_SERVE_PORT", "many")
    with pytest.raises(Thought1Error, match=r"^T1_SERVE_PORT: port: .*integer"):
        read_settings({})
    monkeypatch.delenv("T1_SERVE_PORT")
    monkeypatch.setenv("T1_SERVE_PROT", "80")
    with pytest.raises(Thought1Error, match="T1_SERVE_PROT is no setting"):
        read_settings({})


def test_every_limit_can_be_set_and_has_its_default() -> None:
    assert ServeSettings().limits == Limits()
    names = {"requests": "max_requests", "writes": "max_writes", "seconds": "timeout"}
    for field in fields(Limits):
        name = names.get(field.name, f"max_{field.name}")
        assert getattr(read_settings({name: 7}).limits, field.name) == 7


def test_the_files_of_deploy_are_ones_that_serve_takes() -> None:
    found = read_settings({}, DEPLOY / "serve.toml")
    assert (found.log_format, found.host) == ("json", "127.0.0.1")
    unit = (DEPLOY / "thought1.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/thought1/bin/t1 serve --config /etc/thought1/serve.toml\n" in unit
    seconds = re.search(r"TimeoutStopSec=(\d+)", unit)
    assert seconds is not None and int(seconds[1]) > found.timeout  # requests that run may end
    image = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    variables = set(re.findall(r"T1_SERVE_(\w+)", image))
    assert {"HOST", "LOG_FORMAT"} <= variables
    assert variables <= {name.upper() for name in ServeSettings.model_fields}


def test_every_setting_is_documented() -> None:
    text = (DEPLOY.parent / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert [name for name in ServeSettings.model_fields if f"`{name}`" not in text] == []
