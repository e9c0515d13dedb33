"""A loaded checkpoint: a model with its tokenizer, settings and companion, and its identity.

`checkpoint_loading` reads it from a folder and `checkpoint_saving` writes it; it neither embeds nor
generates.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from thought1 import __version__
from thought1.data.hashing import hash_json
from thought1.engines.hf import HFEngine, max_positions
from thought1.engines.precision import thought_precision
from thought1.model.adapt_lm import default_templates, token_id, writes_date
from thought1.model.adapter import hash_content
from thought1.model.identity import Identity, document_side
from thought1.model.place import Place
from thought1.model.projection import untrained_projection
from thought1.model.prompts import uncut
from thought1.model.sentence_model import SentenceModel
from thought1.model.settings import Base, Companion, Settings, check_reader
from thought1.types import Thought1Error, Vectors


@dataclass
class Checkpoint:
    """A loaded model with everything that belongs to it."""

    place: Place
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: Settings
    companion: SentenceModel | None = None
    """That of the settings, loaded."""
    base: Base | None = None
    """The base of an adapter, where the checkpoint is one."""
    adapter: Any = None
    """A `peft.PeftModel` whose updates are in `model`, separate from the weights, and are what is
    saved; None if they are merged."""
    random_head: frozenset[str] = frozenset()
    """Tensors of the language head that are at random, because its folder has none (that of an
    embedding model): such a checkpoint cannot think. They are not saved."""
    projection: Vectors | None = None
    """Of a companion that does not read the thoughts itself; see `reader`."""

    @property
    def name(self) -> str:
        """How the model is called."""
        return self.place.name

    @property
    def emb_id(self) -> int:
        """Token id of `<emb_token>`."""
        return token_id(self.tokenizer, self.settings.emb_token)

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Every id that ends a text for this model."""
        ids: set[int] = set()
        config = self.model.config
        text = config.get_text_config(decoder=True)
        for source in (config, text, self.model.generation_config, self.tokenizer):
            found = getattr(source, "eos_token_id", None)
            ids.update(found if isinstance(found, list) else [] if found is None else [found])
        return frozenset(ids)

    def engine(self, padding_side: str = "right") -> HFEngine:
        """The default engine: transformers, in this process."""
        return HFEngine(self.model, self.emb_id, self.eos_ids, padding_side)

    def thought_tokens(self, budget: int | None) -> int:
        """Most tokens of a thought under `budget`; None is the checkpoint's own.

        Raises:
            Thought1Error: more than 0 of a checkpoint that has no language head, or more than its
                positions.
        """
        tokens = self.settings.thought.max_new_tokens if budget is None else budget
        if tokens < 0:
            raise ValueError(f"budget is a number of tokens, 0 or more, not {tokens}")
        if tokens and self.random_head:
            raise Thought1Error(
                f"{self.name} has no language head and cannot think: it embeds documents, and "
                "queries with a thinking budget of 0"
            )
        positions = max_positions(self.model.config)
        if tokens >= positions:
            raise Thought1Error(
                f"a thought of {tokens} tokens does not fit the model's {positions} positions: "
                "use a smaller thought budget"
            )
        return tokens

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the stored tensors, whatever their shards; of a GGUF file over its bytes; of
        an adapter over its base's, its tensors and how they count."""
        own = hash_content(self.place)
        return own if self.base is None else hash_json([self.base.hash, own])

    @cached_property
    def templates_hash(self) -> str:
        """SHA-256 over the templates, lengths and tokenizer of both sides.

        As indexes of format 1 and the results of evaluations hold it; it follows the way in which
        the installed version of tokenizers writes a tokenizer.
        """
        digest = hashlib.sha256(self.settings.templates_hash.encode())
        digest.update(uncut(self.tokenizer).to_str().encode())
        return digest.hexdigest()

    @property
    def thinking_identity(self) -> str:
        """SHA-256 over whatever decides a thought and its vector, but for question, sampling and
        budget: weights, templates, companion, number types and the version of this package."""
        companion = None if self.companion is None else self.companion.hash
        projection = None
        if self.projection is not None:
            projection = hashlib.sha256(self.projection.tobytes()).hexdigest()
        model, thought = self.model, asdict(self.settings.thought)
        kinds = [str(model.dtype), model.device.type, thought_precision().name, __version__]
        found = [self.weights_hash, self.templates_hash, companion, projection, thought, kinds]
        return hash_json(found)

    @cached_property
    def identity(self) -> Identity:
        """What determines a document's vector, by name; independent of how queries are encoded."""
        return {"weights": self.weights_hash, **document_side(self.settings, self.tokenizer)}

    def identities(self, index_format: int, created: str) -> list[Identity]:
        """`identity` as an index of that format, made at that time (ISO 8601), holds it.

        In format 1, default templates were rendered at each loading, with that day's date where
        the chat template writes one. So they follow as they were around the day, too.
        """
        if self.companion is not None:
            theirs = self.companion.identities(index_format, created)
            if not self.settings.beside:
                return theirs
            companion = {f"{name} of the companion": value for name, value in theirs[0].items()}
            return [{**self.identity, **companion}]
        if index_format > 1:
            return [self.identity]
        # How queries are anchored is younger than that format.
        found = [replace(self, settings=replace(self.settings, anchor=""))]
        if writes_date(self.tokenizer) and Settings.load(self.place.folder) is None:
            day = datetime.fromisoformat(created).date()
            for days in (-1, 0, 1):  # `created` is in UTC, the date was a local one
                query, document = default_templates(self.tokenizer, day + timedelta(days))
                settings = replace(found[0].settings, query=query, document=document)
                found.append(replace(self, settings=settings))
        return [{"weights": self.weights_hash, "templates": one.templates_hash} for one in found]


def with_companion(
    checkpoint: Checkpoint, name: str, anchor: str | float, reader: str = "text"
) -> Checkpoint:
    """The checkpoint with a sentence-transformers model that encodes its documents.

    Args:
        name: its folder, hub id or `package:NAME/FOLDER`.
        anchor: see `Settings.anchor`.
        reader: see `Companion.reader`; a projection is untrained.

    Raises:
        Thought1Error: it cannot be loaded, or there is no such reader.
    """
    check_reader(reader, anchor)
    if Path(name).is_dir():
        name = str(Path(name).resolve())  # the checkpoint may be used from elsewhere
    model = SentenceModel.load(name, device=checkpoint.model.device)
    named = Companion(name, model.hash, reader)
    settings = replace(checkpoint.settings, companion=named, anchor=anchor)
    projection = None
    if reader == "projection":
        projection = untrained_projection(model.dim, checkpoint.engine().dim)
    return replace(checkpoint, settings=settings, companion=model, projection=projection)
