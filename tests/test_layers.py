"""The structure of the code: imports point down, files and functions are short, start is light."""

import ast
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from thought1.index import Index
from thought1.testing import FakeModel
from thought1.types import Document

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# A module belongs to the longest entry that it equals or lies under. docs/design.md, "Layers".
LAYERS = {
    "thought1.contracts": 1,
    "thought1.types": 1,
    "thought1.registry": 1,
    "thought1.metrics": 1,
    "thought1.moved": 1,
    "thought1.files": 1,
    "thought1.model.packages": 1,
    "thought1.model.tally": 1,
    "thought1.model.identity": 2,
    "thought1.model.place": 2,
    "thought1.model.prompts": 2,
    "thought1.model.settings": 2,
    "thought1.model.weights": 2,
    "thought1.engines": 2,
    "thought1.store": 2,
    "thought1.model": 3,
    "thought1.rewards": 3,
    "thought1.data": 3,
    "thought1.search": 3,
    "thought1.openai_client": 1,
    "thought1.chat": 2,
    "thought1.rerank": 4,
    "thought1.writers": 4,
    "thought1.t1": 4,
    "thought1.index": 4,
    "thought1.follow": 4,
    "thought1.opening": 4,
    "thought1.evaluation": 4,
    "thought1.training": 5,
    "thought1.export": 5,
    "thought1.serving": 5,
    "thought1.mcp": 5,
    "thought1.clients": 5,
    "thought1.testing": 1,
    "thought1.cli": 6,
}
STAGES = (
    "thought1.training.represent",
    "thought1.training.reason",
    "thought1.training.reinforce",
    "thought1.training.companion",
)

# A heavy package, and the only modules that may import it.
ALLOWED = {
    "torch": (
        "thought1.engines.hf",
        "thought1.engines.decoding",
        "thought1.engines.devices",
        "thought1.engines.last_layer",
        "thought1.engines.lean",
        "thought1.engines.likelihood",
        "thought1.engines.linear",
        "thought1.engines.packed",
        "thought1.engines.padding",
        "thought1.engines.precision",
        "thought1.engines.prefix",
        "thought1.engines.preallocated",
        "thought1.engines.route",
        "thought1.engines.running",
        "thought1.engines.training_precision",
        "thought1.model.adapt_lm",
        "thought1.model.adapter",
        "thought1.model.checkpoint_loading",
        "thought1.model.dequantised",
        "thought1.model.devices",
        "thought1.model.loading",
        "thought1.model.weights",
        "thought1.t1",
        "thought1.training",
    ),
    "scipy": (
        "thought1.evaluation.thoughts.dispersion",
        "thought1.evaluation.statistics.protocol",
        "thought1.evaluation.reward_lab",
    ),
    "trl": ("thought1.training.reinforce.grpo",),
    "ray": ("thought1.cluster",),
    "fastapi": ("thought1.serving",),
    "mcp": ("thought1.mcp", "thought1.cli.mcp"),
    "langchain_core": ("thought1.clients.langchain",),
    "llama_index": ("thought1.clients.llama_index",),
    "haystack": ("thought1.clients.haystack",),
}

LONG_FILE_LINES = 300  # a warning: is there a second meaning to split off?
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_TRACKED_BYTES = 5_000_000


def lies_under(module: str, parent: str) -> bool:
    return module == parent or module.startswith(f"{parent}.")


def layer(module: str) -> int:
    homes = [entry for entry in LAYERS if lies_under(module, entry)]
    assert homes, f"{module} has no layer: add it to LAYERS here and to docs/design.md"
    return LAYERS[max(homes, key=len)]


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SRC.glob("thought1/**/*.py"))}


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Every module that `module` imports, anywhere in its text.

    Imports inside functions and under TYPE_CHECKING count: both make one module know another.
    `from a import b` counts as `a.b` where that is a module, and as `a` otherwise. The version is
    everyone's to know.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                if name != "thought1.__version__":
                    yield name if name in MODULES else origin


def breaks_of_layers(module: str, imported: list[str]) -> list[str]:
    breaks = []
    for target in (name for name in imported if lies_under(name, "thought1")):
        if target == "thought1":
            breaks.append(f"{module} imports from `thought1` itself: name the module it needs")
        elif layer(target) > layer(module):
            breaks.append(f"{module} (layer {layer(module)}) imports {target} ({layer(target)})")
        elif len({stage_of(module), stage_of(target), None}) == 3:
            breaks.append(f"{module} imports {target}: training stages never import one another")
    return breaks


def stage_of(module: str) -> str | None:
    """The training stage in whose file or folder a module lies."""
    return next((stage for stage in STAGES if lies_under(module, stage)), None)


def breaks_of_allowed(module: str, imported: list[str]) -> list[str]:
    return [
        f"{module} imports {name}: only {', '.join(allowed)} may"
        for name in imported
        for package, allowed in ALLOWED.items()
        if lies_under(name, package) and not any(lies_under(module, home) for home in allowed)
    ]


# The package's own names lead up by design, and lazily: test_import_is_light.
@pytest.mark.parametrize("module", [name for name in MODULES if name != "thought1"])
def test_imports_point_down(module: str) -> None:
    path = MODULES[module]
    imported = list(imports(parse(path), module, path.name == "__init__.py"))
    layer(module)
    assert breaks_of_layers(module, imported) + breaks_of_allowed(module, imported) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("thought1.types", "def f():\n from thought1.store import lance", "(layer 1) imports"),
        ("thought1.search.fuse", "from ..index import Index", "(layer 3) imports thought1.index"),
        ("thought1.cli", "from thought1 import T1", "imports from `thought1` itself"),
        (
            "thought1.training.reason.thought_filter",
            "from .. import represent",
            "stages never import",
        ),
        (
            "thought1.training.represent",
            "from thought1.training.reinforce.grpo import Policy",
            "stages never import",
        ),
        ("thought1.model.prompts", "import torch.nn as nn", "only thought1.engines.hf"),
        ("thought1.t1", "from ray import data", "only thought1.cluster"),
    ],
)
def test_a_break_is_found(
    module: str, source: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in STAGES:
        monkeypatch.setitem(MODULES, name, Path())
    imported = list(imports(ast.parse(source), module, is_package=False))
    found = breaks_of_layers(module, imported) + breaks_of_allowed(module, imported)
    assert len(found) == 1
    assert expected in found[0]


def test_one_place_alone_builds_an_engine() -> None:
    """Everybody else is handed one, or asks `T1.engine`: an engine can be exchanged."""
    names = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "HFEngine"
    ]
    assert names == ["thought1.model.checkpoint"]


def test_an_unknown_module_is_refused() -> None:
    with pytest.raises(AssertionError, match="add it to LAYERS"):
        layer("thought1.utils")


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_are_short(module: str) -> None:
    path = MODULES[module]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > LONG_FILE_LINES:
        warnings.warn(f"{module} has {lines} lines: does it have two meanings?", stacklevel=1)
    assert lines <= MAX_FILE_LINES, f"{path.name} has {lines} lines: split it by meaning"
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # The options of a command are its parameters.
            first = (node.body[0] if module.startswith("thought1.cli.") else node).lineno
            length = (node.end_lineno or first) - first + 1
            assert length <= MAX_FUNCTION_LINES, f"{path.name}: {node.name} has {length} lines"


def public_classes() -> dict[str, set[str]]:
    """Name of each public class -> the modules that define one, without `thought1.`."""
    found: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(module.removeprefix("thought1."))
    return found


def test_no_two_public_classes_share_a_name() -> None:
    shared = {name: homes for name, homes in public_classes().items() if len(homes) > 1}
    # What users of each framework look for, and nobody imports two of.
    retrievers = {f"clients.{name}" for name in ("haystack", "langchain", "llama_index")}
    assert shared == {"T1Retriever": retrievers}


# Runs `statement`, then tells on the last line of stdout what it has loaded and how long it took.
PROBE = """
import json, sys, time
start = time.perf_counter()
try:
    {statement}
except SystemExit as end:
    assert not end.code, end.code
seconds = time.perf_counter() - start
print()
print(json.dumps({{"seconds": seconds, "modules": sorted(sys.modules)}}))
"""
HEAVY = {"torch", "transformers", "lancedb", "pyarrow", "scipy"}


def run_probe(statement: str) -> tuple[str, float, set[str]]:
    """What `statement` printed, its seconds, and the modules loaded in a fresh interpreter."""
    script = PROBE.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    printed, report = done.stdout.rstrip().rsplit("\n", maxsplit=1)
    facts = json.loads(report)
    return printed, facts["seconds"], set(facts["modules"])


def test_import_is_light() -> None:
    _, _, modules = run_probe("import thought1")
    assert "thought1" in modules
    assert not HEAVY & modules  # so no product is measured either


def test_help_is_light() -> None:
    printed, seconds, modules = run_probe(
        "sys.argv = ['t1', '--help']; from thought1.cli import main; main()"
    )
    print(f"t1 --help: {seconds:.2f} s after the interpreter's start")
    assert "Usage" in printed
    assert not HEAVY & modules


def test_a_search_by_words_loads_no_model(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "i", FakeModel())
    index.add([Document("ice", "Ice is frozen water.")])
    arguments = [
        "t1",
        "search",
        str(index.path),
        "frozen",
        "--mode",
        "bm25",
        "--explain",
        "--jsonl",
    ]
    printed, _, modules = run_probe(
        f"sys.argv = {arguments}; from thought1.cli import main; main()"
    )
    assert '"id": "ice"' in printed
    assert not {"torch", "transformers", "sentence_transformers", "scipy"} & modules


def test_statistics_are_light_until_they_are_asked_for() -> None:
    statistics = ("compare", "protocol", "randomisation", "score")
    modules = ("reward_lab", *(f"statistics.{name}" for name in statistics))
    _, _, loaded = run_probe("; ".join(f"import thought1.evaluation.{name}" for name in modules))
    assert "scipy" not in loaded
    _, _, loaded = run_probe(
        "from thought1.evaluation.statistics.protocol import bootstrap_ci; bootstrap_ci([0.1, 0.2])"
    )
    assert "scipy.stats" in loaded


def test_the_report_needs_no_model() -> None:
    _, _, loaded = run_probe("import thought1.evaluation.report.page")
    assert not {"torch", "transformers", "lancedb", "scipy"} & loaded


def test_no_big_file_is_tracked_outside_models() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listing.stdout.split("\0") if name and not name.startswith("models/")]
    paths = [ROOT / name for name in names if (ROOT / name).is_file()]
    big = [str(path.relative_to(ROOT)) for path in paths if path.stat().st_size > MAX_TRACKED_BYTES]
    assert big == []
