"""`t1.json`: what a checkpoint remembers, so that it always embeds the same way.

It knows the file's format, not how anything in it is used.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from thought1.model.prompts import Template
from thought1.types import Sampling, Thought1Error

FILE_NAME = "t1.json"
FORMAT_VERSION = 1
EMB_TOKEN = "<emb_token>"

QUERY_INSTRUCTION = "Think about the question, then represent it to find texts that answer it."
DOCUMENT_INSTRUCTION = "Represent this text so that questions it helps to answer find it."

SEVERAL_TEMPERATURE, SEVERAL_TOP_P = 0.7, 0.95
"""Of several thoughts on one question, by a checkpoint whose own are greedy."""


@dataclass(frozen=True, slots=True)
class ThoughtSettings:
    """How this checkpoint thinks by default."""

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    no_repeat_ngram: int = 0
    """See `types.Sampling`."""

    @property
    def sampling(self) -> Sampling:
        """How thoughts are sampled, with seed 0."""
        return Sampling(self.temperature, self.top_p, 0, self.no_repeat_ngram)

    @property
    def several(self) -> Sampling:
        """The same for several thoughts on one question, which greedy ones would repeat."""
        if self.temperature > 0:
            return self.sampling
        top_p = self.top_p if self.top_p < 1 else SEVERAL_TOP_P
        return replace(self.sampling, temperature=SEVERAL_TEMPERATURE, top_p=top_p)


OWN_COMPANION = "./companion"
"""The name of a companion that was trained with its checkpoint, and is stored in its folder."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A sentence-transformers model that encodes the documents; see `reader`."""

    model: str
    """Folder, hub id or `package:NAME/FOLDER`; `OWN_COMPANION` where it is the checkpoint's own, or
    another place relative to its folder, that of another checkpoint (`stored`)."""
    hash: str
    """SHA-256 of what decides its vectors: `SentenceModel.hash`."""
    reader: str = "text"
    """How a thought gets into its space: "text", it reads the question followed by the thought;
    "projection", the language model's vector after the thought is projected there; "both", it reads
    texts, and the language model's own vectors of documents and queries stand beside its own."""

    @property
    def stored(self) -> bool:
        """Whether `model` is a place relative to the checkpoint's folder."""
        return self.model.startswith(("./", "../"))


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter changes, or the checkpoint that lends its updates."""

    model: str
    """Folder, hub id, GGUF file, `package:NAME/PATH`, or the name of a bundled model."""
    hash: str
    """SHA-256 of its weights: see `adapter.hash_content`; of a lender over its updates alone."""


READERS = ("text", "projection", "both")
"""How a companion's space gets a thought; see `Companion.reader`."""
ANCHORS = {"none": 0.0, "mean": 1.0}
"""Names for weights of the anchor."""


def anchor_weight(anchor: str | float) -> float:
    """The weight of the bare query's vector: none, mean, or a number above 0.

    Raises:
        Thought1Error: it is something else.
    """
    try:
        weight = ANCHORS[anchor] if anchor in ANCHORS else float(anchor)
    except (TypeError, ValueError):
        weight = math.nan
    if isinstance(anchor, bool) or not 0 <= weight < math.inf:
        raise Thought1Error(f"the anchor is none, mean, or a weight of 0 or more, not {anchor!r}")
    return weight


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of `t1.json`."""

    query: Template
    document: Template
    max_query_tokens: int = 256
    """Longest query prompt (template, evidence and question), the thought not counted."""
    max_document_tokens: int = 512
    """Longest document sequence, `<emb_token>` included."""
    thought: ThoughtSettings = ThoughtSettings()
    emb_token: str = EMB_TOKEN
    anchor: str | float = ""
    """How the vector of the bare query contributes to that after a thought: "none"; "mean"; or its
    weight, see `reader.anchored`. "" is "mean" with a companion, else "none"."""
    companion: Companion | None = None
    base: Base | None = None
    """Of an adapter, whose folder contains the file."""
    adapter: Base | None = None
    """The checkpoint whose updates this adapter uses, where its folder holds none of its own: one
    that differs in its companion alone."""
    backbone: str = ""
    """Name or folder of the language model it grew from."""
    lineage: tuple[dict[str, Any], ...] = field(default=())
    """One entry per training stage: recipe, data files with hashes, steps, seed."""

    @property
    def anchor_weight(self) -> float:
        """The anchor as a weight."""
        return anchor_weight(self.anchor or ("none" if self.companion is None else "mean"))

    @property
    def beside(self) -> bool:
        """Whether vectors are the language model's and the companion's beside each other."""
        return self.companion is not None and self.companion.reader == "both"

    @property
    def templates_hash(self) -> str:
        """Changes with whatever changes a vector apart from the weights."""
        silent = ("lineage", "backbone", "thought", "base", "adapter")
        relevant = {key: value for key, value in self._written().items() if key not in silent}
        if self.companion is not None:
            relevant["companion"].pop("model")  # its location is not part of its identity
        relevant.pop("anchor", None)
        if self.anchor_weight:
            relevant["anchor"] = self.anchor_weight
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()

    def _written(self) -> dict[str, Any]:
        """Its entries; what is younger than the format is left out at its default."""
        found = asdict(self)
        young = {"anchor": "", "companion": None, "base": None, "adapter": None}
        return {key: value for key, value in found.items() if young.get(key, ()) != value}

    def save(self, folder: Path) -> None:
        """Write `t1.json` into `folder`."""
        content = {"format_version": FORMAT_VERSION, **self._written()}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / FILE_NAME).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Settings | None":
        """Read `t1.json`; None if the folder has none.

        Raises:
            Thought1Error: the file is broken, or of a newer format than this version reads.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        try:
            return _from_json(json.loads(path.read_text(encoding="utf-8")))
        except Thought1Error as error:
            raise Thought1Error(f"{path}: {error}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise Thought1Error(f"{path} is not a valid t1.json ({error})") from None


def _from_json(content: Any) -> Settings:
    if not isinstance(content, dict):
        raise Thought1Error("the file must hold one JSON object")
    version = content.pop("format_version", None)
    if not isinstance(version, int) or version < 1:
        raise Thought1Error('"format_version" is missing or not a number')
    if version > FORMAT_VERSION:
        raise Thought1Error(
            f"format version {version} is newer than the {FORMAT_VERSION} that this version of "
            "thought1 reads: upgrade thought1"
        )
    unknown = set(content) - {item.name for item in fields(Settings)}
    if unknown:
        raise Thought1Error(f"unknown entries {sorted(unknown)}")
    missing = {"query", "document"} - set(content)
    if missing:
        raise Thought1Error(f"missing entries {sorted(missing)}")
    for name in ("max_query_tokens", "max_document_tokens"):
        if type(content.get(name, 1)) is not int:
            raise Thought1Error(f'"{name}" must be a whole number')
    anchor_weight(content.get("anchor", "none") or "none")
    companion = content.get("companion")
    if companion is not None:
        content["companion"] = Companion(**_texts("companion", companion))
        check_reader(content["companion"].reader, content.get("anchor", ""))
    for name in ("base", "adapter"):
        if content.get(name) is not None:
            content[name] = Base(**_texts(name, content[name]))
    content["query"] = Template(**content["query"])
    content["document"] = Template(**content["document"])
    content["thought"] = ThoughtSettings(**content.get("thought", {}))
    content["lineage"] = tuple(content.get("lineage", ()))
    return Settings(**content)


def check_reader(reader: str, anchor: str | float) -> None:
    """Refuse a reader that is none, and a projection that nothing anchors.

    Raises:
        Thought1Error: it is one of these.
    """
    if reader not in READERS:
        raise Thought1Error(f"unknown reader {reader!r}: known are {', '.join(READERS)}")
    if reader == "projection" and not anchor_weight(anchor or "mean"):
        raise Thought1Error(
            "the reader projection needs an anchor above 0: it starts at the companion's vector"
        )


def _texts(entry: str, content: Any) -> dict[str, str]:
    """An entry whose own entries are all texts.

    Raises:
        Thought1Error: it is something else.
    """
    if not isinstance(content, dict):
        raise Thought1Error(f'"{entry}" must be an object')
    for key, value in content.items():
        if not isinstance(value, str) or not value:
            raise Thought1Error(f'"{key}" of "{entry}" must be a text, not {value!r}')
    return content
