"""The parts that can be exchanged, by name, and where each of them is defined.

A part is imported when it is looked up, so that nothing heavy is loaded at start. A new part needs
one row here; this file knows nothing else about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from thought1.contracts import Store
from thought1.types import Thought1Error


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """Where a part is defined ("module:name"), and the extra that installs what it imports."""

    target: str
    extra: str = ""
    """Empty if `pip install thought1` is enough."""


STORES: Mapping[str, RegistryEntry] = {
    "lance": RegistryEntry("thought1.store.lance:LanceStore"),
}

ENGINES: Mapping[str, RegistryEntry] = {
    "hf": RegistryEntry("thought1.engines.hf:HFEngine"),
}
"""Classes of `thought1.contracts.Engine`, built from a model, `<emb_token>`, end tokens, a side."""

_TERMS = "thought1.training.contrastive_terms"
LOSSES: Mapping[str, RegistryEntry] = {
    "contrastive": RegistryEntry(f"{_TERMS}:CONTRASTIVE"),
    "triplet": RegistryEntry(f"{_TERMS}:TRIPLET"),
    "distill_query": RegistryEntry(f"{_TERMS}:DISTILL_QUERY"),
    "similarity_query": RegistryEntry(f"{_TERMS}:SIMILARITY_QUERY"),
    "distill_document": RegistryEntry(f"{_TERMS}:DISTILL_DOCUMENT"),
    "similarity_document": RegistryEntry(f"{_TERMS}:SIMILARITY_DOCUMENT"),
}
"""What stages 1 and 2 add up, in this order: `Term`s, each with the recipe key of its weight."""

REWARDS: Mapping[str, RegistryEntry] = {
    "ndcg": RegistryEntry("thought1.rewards:ndcg"),
    "log_rank": RegistryEntry("thought1.rewards:log_rank"),
    "margin": RegistryEntry("thought1.rewards:margin"),
    "product": RegistryEntry("thought1.rewards:product"),
    "format": RegistryEntry("thought1.rewards:format_"),
    "length": RegistryEntry("thought1.rewards:length"),
    "repetition": RegistryEntry("thought1.rewards:repetition"),
}
"""Rewards of stage 3 by the name a recipe gives them; "module:function" names a custom one."""

_SYSTEMS = "thought1.evaluation.systems"
SYSTEMS: Mapping[str, RegistryEntry] = {
    "t1": RegistryEntry(f"{_SYSTEMS}.t1_index:open_t1"),
    "bm25": RegistryEntry(f"{_SYSTEMS}.bm25:open_plain", "eval"),
    "bm25-query": RegistryEntry(f"{_SYSTEMS}.bm25:open_query", "eval"),
    "st": RegistryEntry(f"{_SYSTEMS}.sentence_transformers:open_sentence_transformer", "export"),
    "openai": RegistryEntry(f"{_SYSTEMS}.openai_server:open_server", "eval"),
}
"""Evaluated systems by the first word of their name: functions of (name, SystemOptions)."""


_RERANK = "thought1.rerank"
RERANKERS: Mapping[str, RegistryEntry] = {
    "cross-encoder": RegistryEntry(f"{_RERANK}.cross_encoder:open_cross_encoder", "export"),
    "openai": RegistryEntry(f"{_RERANK}.listwise:open_listwise", "eval"),
    "openai-pointwise": RegistryEntry(f"{_RERANK}.pointwise:open_pointwise", "eval"),
    "t1": RegistryEntry(f"{_RERANK}.likelihood:open_likelihood"),
}
"""Rerankers by the first word of their name: functions of (name, the index's model)."""


THOUGHT_WRITERS: Mapping[str, RegistryEntry] = {
    "openai": RegistryEntry("thought1.writers.chat_writer:open_chat_writer", "eval"),
    "file": RegistryEntry("thought1.writers.file_writer:open_file_writer"),
}
"""Writers of thoughts that are no T1, by the first word of their name: functions of the name."""


class StoreType(Protocol):
    """How a store is created: what a class of STORES offers besides the methods of `Store`."""

    def create(
        self, path: Path, dim: int, info: Mapping[str, Any], *, overwrite: bool = False
    ) -> Store:
        """An empty store for vectors of `dim` dimensions; `info` is JSON data, kept with it.

        Raises:
            Thought1Error: the path holds a store already (and not `overwrite`), or other files.
        """

    def open(self, path: Path) -> Store:
        """The store at `path`.

        Raises:
            Thought1Error: there is none.
        """


def store_type(name: str) -> StoreType:
    """The class of the store `name`.

    Raises:
        Thought1Error: unknown name, or a package that it needs is not installed.
    """
    return cast(StoreType, load("store", name, STORES))


def load(kind: str, name: str, table: Mapping[str, RegistryEntry], *, custom: bool = False) -> Any:
    """Import what `table` lists under `name`; `kind` is the word for it in messages.

    Args:
        custom: a name without a row may be "module:function", which is imported as it is.

    Raises:
        Thought1Error: unknown name, a package that it needs is not installed, or there is no such
            module or function.
    """
    if custom and name not in table:
        return _load_custom(kind, name, table)
    if name not in table:
        known = ", ".join(sorted(table))
        raise Thought1Error(f"there is no {kind} named {name!r}; known names: {known}")
    entry = table[name]
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "thought1"):
            raise  # a wrong row of the table, not a missing package
        package = f"thought1[{entry.extra}]" if entry.extra else "thought1"
        raise Thought1Error(
            f'the {kind} {name!r} needs the package {missing}: pip install "{package}"'
        ) from error


def _load_custom(kind: str, name: str, table: Mapping[str, RegistryEntry]) -> Any:
    module, colon, function = name.partition(":")
    if not colon:
        raise Thought1Error(
            f"unknown {kind} {name!r}: use one of {', '.join(table)}, "
            "or module:function for your own"
        )
    try:
        found = vars(import_module(module)).get(function)
    except (ImportError, TypeError, ValueError) as error:  # the last two: "..:f" and ":f"
        raise Thought1Error(
            f"the {kind} {name!r} cannot be imported ({error}): is the module on PYTHONPATH?"
        ) from error
    if not callable(found):
        raise Thought1Error(f"the module of the {kind} {name!r} has no function {function!r}")
    return found
