"""Which way products go: measured once, kept whole, and never in the way."""

import json
import multiprocessing
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from thought1.engines import route
from thought1.engines.route import Rates, linear_route
from thought1.files.user_cache import user_cache
from thought1.types import Thought1Error

KNOWN: Rates = {
    "few": {"torch": 2e9, "onednn": 1e9},
    "many": {"torch": 1e9, "onednn": 3e9},
}


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has decided nothing yet, with a cache folder of its own."""
    monkeypatch.delenv("T1_LINEAR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(route, "onednn_exists", lambda: True)
    route._measured.cache_clear()
    yield
    route._measured.cache_clear()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the measurements, each of which finds `KNOWN`."""
    calls: list[int] = []

    def measure() -> Rates:
        calls.append(1)
        return KNOWN

    monkeypatch.setattr(route, "measure", measure)
    return calls


def another_process() -> None:
    route._measured.cache_clear()


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_each_kind_takes_what_was_faster(measured: list[int]) -> None:
    found = linear_route()
    assert (found.few, found.many, found.rates) == ("torch", "onednn", KNOWN)
    assert found.of(0) == found.of(route.FEW_ROWS) == "torch"
    assert found.of(route.FEW_ROWS + 1) == "onednn"


def test_measured_once_for_a_machine(measured: list[int], tmp_path: Path) -> None:
    first = linear_route()
    assert linear_route() is first
    another_process()
    assert linear_route() == first
    assert measured == [1]
    assert [str(path) for path in files(tmp_path)] == [first.kept]


@pytest.mark.parametrize("what", ["processor", "threads", "torch", "instructions", "limit"])
def test_another_machine_is_measured_anew(
    what: str, measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear_route()
    another_process()
    if what == "processor":
        monkeypatch.setattr(route, "processor", lambda: "another")
    elif what == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    elif what == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9")
    elif what == "instructions":
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    else:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    linear_route()
    assert len(measured) == len(files(tmp_path)) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"key": 1}',
        b"[" * 100_000,
    ],
)
def test_a_broken_file_is_measured_anew_and_mended(
    content: bytes, measured: list[int], tmp_path: Path
) -> None:
    first = linear_route()
    Path(first.kept).write_bytes(content)
    another_process()
    assert linear_route() == first
    another_process()
    assert linear_route() == first
    assert len(measured) == 2


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "much", None, [], {}])
def test_figures_that_cannot_be_are_not_believed(value: object, measured: list[int]) -> None:
    path = Path(linear_route().kept)
    content = json.loads(path.read_text())
    content["operations_per_second"]["many"]["torch"] = value
    path.write_text(json.dumps(content))
    another_process()
    assert linear_route().rates == KNOWN
    assert len(measured) == 2


def test_another_key_in_the_file_is_not_believed(measured: list[int]) -> None:
    path = Path(linear_route().kept)
    content = json.loads(path.read_text())
    content["key"]["torch"] = "0.0"
    path.write_text(json.dumps(content))
    another_process()
    linear_route()
    assert len(measured) == 2


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_an_unwritable_cache_is_harmless(
    obstacle: str, measured: list[int], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    if obstacle == "file":  # where the folder should be; modes would not stop root
        (tmp_path / "cache").write_text("")
    else:
        path = route.path_of(route.key_of(torch.get_num_threads()))
        assert path
        path.mkdir(parents=True)
    found = linear_route()
    assert (found.few, found.many) == ("torch", "onednn")
    assert "process only" in found.kept
    assert not any(path.name.startswith(".linear") for path in files(tmp_path))
    assert not recwarn.list


def test_without_a_home_nothing_is_kept(
    measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert user_cache() is None
    assert "process only" in linear_route().kept


def write_often(path: Path, value: float) -> None:
    rates = {kind: {"torch": value, "onednn": value} for kind in route.SHAPES}
    for _ in range(50):
        assert route.write(path, {"shapes": {"few": [], "many": []}}, rates)


def test_writers_at_the_same_time_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "one.json"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(path, n)) for n in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            rates = route.read(path, {"shapes": {"few": [], "many": []}})
            assert rates
            seen.add(rates["few"]["torch"])
        time.sleep(0.001)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen <= {1.0, 2.0}
    assert files(tmp_path) == [path]


@pytest.mark.parametrize("name", ["torch", "onednn"])
def test_a_named_route_is_taken_unmeasured(
    name: str, measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_LINEAR", name)
    found = linear_route()
    assert found.few == found.many == name
    assert "T1_LINEAR" in found.kept
    assert not measured and not files(tmp_path)


def test_a_route_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_LINEAR", "mkl")
    with pytest.raises(Thought1Error, match="'mkl': set it to auto, torch or onednn"):
        linear_route()
    monkeypatch.setattr(route, "onednn_exists", lambda: False)
    monkeypatch.setenv("T1_LINEAR", "onednn")
    with pytest.raises(Thought1Error, match="this torch lacks"):
        linear_route()


@pytest.mark.parametrize("wanted", ["", "auto"])
def test_without_onednn_there_is_nothing_to_choose(
    wanted: str, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_LINEAR", wanted)
    monkeypatch.setattr(route, "onednn_exists", lambda: False)
    assert linear_route().few == linear_route().many == "torch"
    assert not measured


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees a route that is slower, and leaves the global random numbers alone."""

    def slow(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        for _ in range(6):
            product = torch.nn.functional.linear(input, weight, bias)
        return product

    monkeypatch.setattr(route, "PRODUCTS", {"torch": torch.nn.functional.linear, "onednn": slow})
    state = torch.random.get_rng_state()
    rates = route.measure()
    assert torch.equal(state, torch.random.get_rng_state())
    assert set(rates) == set(route.SHAPES)
    for group in rates.values():
        assert 0 < group["onednn"] < group["torch"]  # six times; noise is far below
