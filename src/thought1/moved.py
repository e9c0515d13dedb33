"""Names that have moved: they work for one more version, with a DeprecationWarning.

Modules that are gone are found again by an import hook, names that are gone from a module by its
`__getattr__`. CHANGELOG.md lists both. It knows names, and imports a module only when one is used.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES: Mapping[str, str] = {
    "thought1.adapter": "thought1.model.adapter",
    "thought1.checkpoint": "thought1.model.checkpoint",
    "thought1.dequantised": "thought1.model.dequantised",
    "thought1.encoder": "thought1.model.encoder",
    "thought1.engines.room": "thought1.engines.preallocated",
    "thought1.evaluation.blockwise": "thought1.search.blockwise",
    "thought1.evaluation.bm25": "thought1.evaluation.systems.bm25_scores",
    "thought1.evaluation.bright_protocols": "thought1.evaluation.bright.protocols",
    "thought1.evaluation.compare": "thought1.evaluation.statistics.compare",
    "thought1.evaluation.curve": "thought1.evaluation.thoughts.curve",
    "thought1.evaluation.dispersion": "thought1.evaluation.thoughts.dispersion",
    "thought1.evaluation.faithfulness": "thought1.evaluation.thoughts.faithfulness",
    "thought1.evaluation.indexed": "thought1.evaluation.systems.t1_index",
    "thought1.evaluation.openai_server": "thought1.evaluation.systems.openai_server",
    "thought1.evaluation.protocol": "thought1.evaluation.statistics.protocol",
    "thought1.evaluation.provenance": "thought1.evaluation.results.provenance",
    "thought1.evaluation.replay": "thought1.evaluation.results.replay",
    "thought1.evaluation.score": "thought1.evaluation.statistics.score",
    "thought1.evaluation.sentence_model": "thought1.model.sentence_model",
    "thought1.evaluation.studies": "thought1.evaluation.thoughts.studies",
    "thought1.evaluation.vector_cache": "thought1.evaluation.systems.vector_cache",
    "thought1.gguf_file": "thought1.model.gguf_file",
    "thought1.identity": "thought1.model.identity",
    "thought1.inventory": "thought1.model.inventory",
    "thought1.loading": "thought1.model.loading",
    "thought1.losses": "thought1.training.losses",
    "thought1.metadata": "thought1.store.metadata",
    "thought1.model_cache": "thought1.model.model_cache",
    "thought1.next_token": "thought1.training.model.next_token",
    "thought1.packages": "thought1.model.packages",
    "thought1.place": "thought1.model.place",
    "thought1.projection": "thought1.model.projection",
    "thought1.prompts": "thought1.model.prompts",
    "thought1.queries": "thought1.model.queries",
    "thought1.reader": "thought1.model.reader",
    "thought1.sentence_adapter": "thought1.model.sentence_adapter",
    "thought1.sentence_identity": "thought1.model.sentence_identity",
    "thought1.sentence_model": "thought1.model.sentence_model",
    "thought1.settings": "thought1.model.settings",
    "thought1.tally": "thought1.model.tally",
    "thought1.training.data.lines": "thought1.training.data.jsonl_templates",
    "thought1.training.gauge": "thought1.training.thinking_validation",
    "thought1.training.model.start": "thought1.training.model.base_model",
    "thought1.training.reason.folds": "thought1.training.reason.cross_fit",
    "thought1.training.reason.gain": "thought1.training.reason.thought_filter",
    "thought1.training.reinforce.best": "thought1.training.reinforce.best_checkpoint",
    "thought1.training.reinforce.candidates": "thought1.training.reinforce.document_pool",
    "thought1.training.reinforce.probe": "thought1.training.reinforce.policy_probe",
    "thought1.training.terms": "thought1.training.contrastive_terms",
    "thought1.untrained": "thought1.model.adapt_lm",
    "thought1.user_cache": "thought1.files.user_cache",
    "thought1.vectors": "thought1.search.vectors",
    "thought1.weights": "thought1.model.weights",
    "thought1.whole": "thought1.files.whole",
    "thought1.words": "thought1.store.search_text",
}
"""Old module -> new one."""

NAMES: Mapping[str, Mapping[str, str]] = {
    "thought1.checkpoint": {
        "load_checkpoint": "thought1.model.checkpoint_loading:load_checkpoint",
        "save_checkpoint": "thought1.model.checkpoint_saving:save_checkpoint",
    },
    "thought1.queries": {"Asked": "thought1.model.queries:PromptedQueries"},
    "thought1.training.recipe": {"Stage": "thought1.training.recipe.stage:BaseStage"},
    "thought1.training.reinforce.candidates": {
        "Index": "thought1.training.reinforce.document_pool:DocumentPool"
    },
    "thought1.types": {
        "Engine": "thought1.contracts:Engine",
        "Store": "thought1.contracts:Store",
        "ThoughtWriter": "thought1.contracts:ThoughtWriter",
    },
    "thought1.evaluation.bright": {
        "DEPTH": "thought1.evaluation.bright.task:DEPTH",
        "MEASURES": "thought1.evaluation.bright.task:MEASURES",
        "BrightResult": "thought1.evaluation.bright.scores:BrightResult",
        "SubsetScores": "thought1.evaluation.bright.scores:SubsetScores",
        "evaluate_bright": "thought1.evaluation.bright.run:evaluate_bright",
        "score_subset": "thought1.evaluation.bright.scores:score_subset",
    },
    "thought1.evaluation.compare": {
        "Comparison": "thought1.evaluation.statistics.compare:RunComparison",
        "Pair": "thought1.evaluation.statistics.compare:RunPair",
    },
    "thought1.evaluation.curve": {"Baseline": "thought1.evaluation.thoughts.curve:Rival"},
    "thought1.evaluation.faithfulness": {
        "Row": "thought1.evaluation.thoughts.faithfulness:ThoughtFigures"
    },
    "thought1.evaluation.indexed": {"IndexSystem": "thought1.evaluation.systems.t1_index:T1Index"},
    "thought1.evaluation.leaderboard": {
        "Row": "thought1.evaluation.leaderboard:PublishedRow",
        "Track": "thought1.evaluation.leaderboard:LeaderboardTrack",
        "Source": "thought1.evaluation.leaderboard:PublishedSource",
    },
    "thought1.evaluation.measure": {
        "Request": "thought1.evaluation.request:Request",
        "read_task": "thought1.evaluation.task:read_task",
    },
    "thought1.evaluation.replay": {
        "Comparison": "thought1.evaluation.results.replay:Replay",
        "Row": "thought1.evaluation.results.replay:ReplayedMeasure",
        "compare": "thought1.evaluation.results.replay:compare_results",
        "meant": "thought1.evaluation.results.replay:model_of_its_time",
        "request_of": "thought1.evaluation.run:request_of",
    },
    "thought1.evaluation.results": {
        "FORMAT": "thought1.evaluation.results.models:FORMAT",
        "SHOWN_HITS": "thought1.evaluation.results.details:SHOWN_HITS",
        "SNIPPET": "thought1.evaluation.results.details:SNIPPET",
        "STUDIES": "thought1.evaluation.run:STUDIES",
        "Studies": "thought1.evaluation.results.build:Extras",
        "TAG": "thought1.evaluation.results.files:TAG",
        "build_result": "thought1.evaluation.results.build:build_result",
        "check_place": "thought1.evaluation.results.files:check_place",
        "cost_of": "thought1.evaluation.results.build:cost_of",
        "read_result": "thought1.evaluation.results.files:read_result",
        "read_result_run": "thought1.evaluation.results.files:read_result_run",
        "result_path": "thought1.evaluation.results.files:result_path",
        "write_result": "thought1.evaluation.results.files:write_result",
    },
    "thought1.evaluation.score": {
        "Rules": "thought1.evaluation.statistics.score:ScoringRules",
        "Score": "thought1.evaluation.statistics.score:RunScore",
    },
    "thought1.evaluation.statistics": {
        "EQUAL": "thought1.evaluation.statistics.randomisation:EQUAL",
        "EXACT": "thought1.evaluation.statistics.randomisation:EXACT",
        "Randomisation": "thought1.evaluation.statistics.randomisation:Randomisation",
        "SAMPLES": "thought1.evaluation.statistics.randomisation:SAMPLES",
        "Wins": "thought1.evaluation.statistics.randomisation:Wins",
        "count_wins": "thought1.evaluation.statistics.randomisation:count_wins",
        "holm": "thought1.evaluation.statistics.randomisation:holm",
        "randomisation_test": "thought1.evaluation.statistics.randomisation:randomisation_test",
    },
    "thought1.evaluation.studies": {"Plan": "thought1.evaluation.thoughts.studies:StudyPlan"},
    "thought1.evaluation.systems": {
        "Progress": "thought1.evaluation.systems.base:Progress",
        "WEIGHTS_SHOWN": "thought1.evaluation.systems.base:WEIGHTS_SHOWN",
        "revision_of": "thought1.evaluation.systems.base:revision_of",
        "short_name": "thought1.evaluation.systems.base:short_name",
    },
}
"""Old module -> old name -> where it is now ("module:name")."""


def moved_names(module: str) -> Callable[[str], object]:
    """A `__getattr__` for a module that exists: it finds the names that have left it.

    Args:
        module: its full name.
    """
    names = NAMES[module]

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        target, _, attribute = names[name].partition(":")
        _warn(f"{module}.{name}", f"{target}.{attribute}")
        return getattr(import_module(target), attribute)

    return find


class _Finder(MetaPathFinder, Loader):
    """Finds modules by their old names; such a module has the content of the new one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = import_module(MODULES[old])
        _warn(old, new.__name__)
        content = {name: value for name, value in vars(new).items() if not name.startswith("__")}
        vars(module).update(content)
        if old in NAMES:
            vars(module)["__getattr__"] = moved_names(old)


def install() -> None:
    """Let old module names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is now {new}; the old name will be removed in the next version",
        DeprecationWarning,
        stacklevel=3,
    )
