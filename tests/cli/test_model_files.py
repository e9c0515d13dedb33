"""Model files and adapters on the command line: used like any model, refused in one line."""

import shutil
from pathlib import Path

import pytest
from adapter_files import changed, plain_adapter, truncated
from gguf_files import write_gguf
from t1_command import T1Command, write_lines
from tiny import make_checkpoint


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", "Q4_1")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    return plain_adapter(folder / "adapter", make_checkpoint(folder / "base"))


@pytest.mark.parametrize("kind", ["file", "adapter"])
def test_it_thinks_and_says_one_line_beside(
    kind: str, t1: T1Command, request: pytest.FixtureRequest
) -> None:
    ran = t1("think", "salt", "--think", "4", "--model", request.getfixturevalue(kind))
    assert ran.code == 0 and "(4 tokens" in ran.out
    assert len(ran.err.splitlines()) == 1 and "has no t1.json" in ran.err


@pytest.mark.parametrize("kind", ["file", "adapter"])
def test_an_index_of_it_is_searched(
    kind: str, t1: T1Command, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    corpus = write_lines(tmp_path / "notes.jsonl", [{"id": "salt", "text": "Salt lowers it."}])
    model = request.getfixturevalue(kind)
    assert t1("index", corpus, "-o", tmp_path / "index", "--model", model).code == 0
    ran = t1("search", tmp_path / "index", "salt", "--think", "2", "--json").json()
    assert [hit["id"] for hit in ran["results"][0]["hits"]] == ["salt"]


def test_a_truncated_file(t1: T1Command, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(file.read_bytes()[:-100])
    ran = t1("think", "salt", "--think", "4", "--model", path)
    assert "is truncated" in ran.error() and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [(truncated, "has a broken"), (changed(a_new_trick=1), "later version of peft")],
)
def test_a_broken_adapter(
    break_it: object, problem: str, t1: T1Command, adapter: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "copy"))
    break_it(folder)  # type: ignore[operator]
    ran = t1("think", "salt", "--think", "4", "--model", folder)
    assert problem in ran.error() and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("package:no_such_package/x.gguf", "pip install no-such-package"),
        ("owner/name/x.gguf", "no such file here, and the hub could not deliver it"),
        ("nowhere.gguf", "no such file, and not a hub id"),
    ],
)
def test_a_file_that_is_not_there(name: str, problem: str, t1: T1Command) -> None:
    assert problem in t1("think", "salt", "--think", "4", "--model", name).error()
