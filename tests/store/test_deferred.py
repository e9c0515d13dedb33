"""Packages that are loaded when they are needed: what is put off, and that nothing is missing."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Barrier

import pytest

from thought1.store.deferred import defer

NAME = "t1_deferred_example"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import time\nfrom . import runs\nruns.count += 1\ntime.sleep(0.05)\n"
        "__version__ = '7'\nvalue = 1\n"
    )
    (folder / "runs.py").write_text("count = 0\n")
    (folder / "part.py").write_text("inside = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def test_a_submodule_alone_leaves_the_package_unloaded(package: Path) -> None:
    defer(NAME)
    assert import_module(f"{NAME}.part").inside == 2
    assert import_module(f"{NAME}.runs").count == 0
    loaded = import_module(NAME)
    assert loaded.value == 1 and loaded.__version__ == "7"
    assert import_module(f"{NAME}.runs").count == 1
    assert loaded.part.inside == 2
    with pytest.raises(AttributeError, match="nothing"):
        _ = loaded.nothing
    assert import_module(f"{NAME}.runs").count == 1


def test_from_import_loads_it(package: Path) -> None:
    defer(NAME)
    held: dict[str, object] = {}
    exec(f"from {NAME} import value, part", held)
    assert held["value"] == 1


def test_threads_load_it_once(package: Path) -> None:
    defer(NAME)
    loaded = import_module(NAME)
    together = Barrier(4)

    def read(_: int) -> int:
        together.wait()
        value: int = loaded.value
        return value

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [1] * 4
    assert import_module(f"{NAME}.runs").count == 1


def test_an_error_of_the_package_is_its_own_each_time(package: Path) -> None:
    (package / "__init__.py").write_text("raise RuntimeError('broken')\n")
    defer(NAME)
    loaded = import_module(NAME)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            _ = loaded.value


def test_what_is_loaded_or_absent_stays_as_it_is(package: Path) -> None:
    loaded = import_module(NAME)
    defer(NAME)
    assert sys.modules[NAME] is loaded
    defer("t1_no_such_package")
    assert "t1_no_such_package" not in sys.modules


def test_a_store_leaves_lances_rest_client_unloaded() -> None:
    code = (
        "import sys, thought1.store.lance, lancedb\n"
        "client = 'lance_namespace_urllib3_client'\n"
        "assert f'{client}.models' in sys.modules, 'lancedb no longer needs this'\n"
        "assert f'{client}.api' not in sys.modules\n"
        "assert sys.modules[client].TableApi.__module__ == f'{client}.api.table_api'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
