"""Names of `thought1.evaluation` that have moved: they work for one more version, with a warning.

Modules that are gone are found again by an import hook, names that are gone from a module by its
`__getattr__`. CHANGELOG.md lists both.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_HERE = "thought1.evaluation"

MODULES: Mapping[str, str] = {
    "bm25": "systems.bm25_scores",
    "bright_protocols": "bright.protocols",
    "compare": "statistics.compare",
    "curve": "thoughts.curve",
    "dispersion": "thoughts.dispersion",
    "faithfulness": "thoughts.faithfulness",
    "indexed": "systems.t1_index",
    "openai_server": "systems.openai_server",
    "protocol": "statistics.protocol",
    "provenance": "results.provenance",
    "replay": "results.replay",
    "score": "statistics.score",
    "studies": "thoughts.studies",
    "vector_cache": "systems.vector_cache",
}
"""Old module -> new one."""

NAMES: Mapping[str, Mapping[str, str]] = {
    "bright": {
        "DEPTH": "bright.task:DEPTH",
        "MEASURES": "bright.task:MEASURES",
        "BrightResult": "bright.scores:BrightResult",
        "SubsetScores": "bright.scores:SubsetScores",
        "evaluate_bright": "bright.run:evaluate_bright",
        "score_subset": "bright.scores:score_subset",
    },
    "compare": {
        "Comparison": "statistics.compare:RunComparison",
        "Pair": "statistics.compare:RunPair",
    },
    "curve": {"Baseline": "thoughts.curve:Rival"},
    "faithfulness": {"Row": "thoughts.faithfulness:ThoughtFigures"},
    "indexed": {"IndexSystem": "systems.t1_index:T1Index"},
    "leaderboard": {
        "Row": "leaderboard:PublishedRow",
        "Track": "leaderboard:LeaderboardTrack",
        "Source": "leaderboard:PublishedSource",
    },
    "measure": {
        "Request": "request:Request",
        "read_task": "task:read_task",
    },
    "replay": {
        "Comparison": "results.replay:Replay",
        "Row": "results.replay:ReplayedMeasure",
        "compare": "results.replay:compare_results",
        "meant": "results.replay:model_of_its_time",
        "request_of": "run:request_of",
    },
    "results": {
        "FORMAT": "results.models:FORMAT",
        "SHOWN_HITS": "results.details:SHOWN_HITS",
        "SNIPPET": "results.details:SNIPPET",
        "STUDIES": "run:STUDIES",
        "Studies": "results.build:Extras",
        "TAG": "results.files:TAG",
        "build_result": "results.build:build_result",
        "check_place": "results.files:check_place",
        "cost_of": "results.build:cost_of",
        "read_result": "results.files:read_result",
        "read_result_run": "results.files:read_result_run",
        "result_path": "results.files:result_path",
        "write_result": "results.files:write_result",
    },
    "score": {"Rules": "statistics.score:ScoringRules", "Score": "statistics.score:RunScore"},
    "statistics": {
        "EQUAL": "statistics.randomisation:EQUAL",
        "EXACT": "statistics.randomisation:EXACT",
        "Randomisation": "statistics.randomisation:Randomisation",
        "SAMPLES": "statistics.randomisation:SAMPLES",
        "Wins": "statistics.randomisation:Wins",
        "count_wins": "statistics.randomisation:count_wins",
        "holm": "statistics.randomisation:holm",
        "randomisation_test": "statistics.randomisation:randomisation_test",
    },
    "studies": {"Plan": "thoughts.studies:StudyPlan"},
    "systems": {
        "Progress": "systems.base:Progress",
        "WEIGHTS_SHOWN": "systems.base:WEIGHTS_SHOWN",
        "revision_of": "systems.base:revision_of",
        "short_name": "systems.base:short_name",
    },
}
"""Old module -> old name -> where it is now ("module:name")."""


def moved_names(module: str) -> Callable[[str], object]:
    """A `__getattr__` for a module that exists: it finds the names that have left it.

    Args:
        module: its full name.
    """
    names = NAMES[module.removeprefix(f"{_HERE}.")]

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        target, _, attribute = names[name].partition(":")
        _warn(f"{module}.{name}", f"{_HERE}.{target}.{attribute}")
        return getattr(import_module(f"{_HERE}.{target}"), attribute)

    return find


class _Finder(MetaPathFinder, Loader):
    """Finds modules by their old names; such a module has the content of the new one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix(f"{_HERE}.")
        return ModuleSpec(fullname, self) if old in MODULES and old != fullname else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__.removeprefix(f"{_HERE}.")
        new = import_module(f"{_HERE}.{MODULES[old]}")
        _warn(module.__name__, new.__name__)
        content = {name: value for name, value in vars(new).items() if not name.startswith("__")}
        vars(module).update(content)
        if old in NAMES:
            vars(module)["__getattr__"] = moved_names(module.__name__)


def install() -> None:
    """Let old module names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is now {new}; the old name goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )
