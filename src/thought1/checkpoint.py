"""A checkpoint on disk: an ordinary Hugging Face folder plus `t1.json`.

It loads and saves; it neither embeds nor generates.
"""

import hashlib
import logging
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from jinja2 import TemplateError
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from thought1.adapter import FILES as ADAPTER_FILES
from thought1.adapter import Adapted, hash_content, is_adapter, load_adapter, save_adapter
from thought1.data.hashing import hash_json
from thought1.engines.hf import HFEngine, max_positions
from thought1.identity import Identity, document_side
from thought1.inventory import default_model
from thought1.loading import Loaded, check_runs, load_model, loading_errors
from thought1.place import Place, find_model, reason
from thought1.projection import FILE_NAME as PROJECTION
from thought1.projection import load_projection, save_projection, untrained_projection
from thought1.prompts import Renderer, uncut
from thought1.reader import find_companion
from thought1.sentence_model import SentenceModel
from thought1.settings import OWN_COMPANION, Base, Companion, Settings, check_reader
from thought1.types import Thought1Error, Vectors
from thought1.untrained import (
    add_emb_token,
    default_settings,
    default_templates,
    token_id,
    writes_date,
)

logger = logging.getLogger(__name__)

MAX_SHARD = "15MB"

_MODEL_FILES = (
    "model*.safetensors*",
    "config.json",
    "generation_config.json",
    *ADAPTER_FILES,
    PROJECTION,
)
"""What makes a folder a whole model or an adapter: left beside the other, they are read."""


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
    """What an adapter stands on, where the checkpoint is one."""
    adapter: Any = None
    """A `peft.PeftModel` whose updates are in `model`, beside the weights, and what is saved; None
    where they are merged."""
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

    @cached_property
    def identity(self) -> Identity:
        """What decides a document's vector, by name; nothing of how queries are asked."""
        return {"weights": self.weights_hash, **document_side(self.settings, self.tokenizer)}

    def identities(self, index_format: int, created: str) -> list[Identity]:
        """`identity` as an index of that format, made at that time (ISO 8601), holds it.

        In format 1, default templates were rendered at each loading, with that day's date where
        the chat template writes one. So they follow as they were around the day, too.
        """
        if self.companion is not None:
            return self.companion.identities(index_format, created)
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


def load_checkpoint(
    name: str | Path | None,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    trust_remote_code: bool = False,
    merge: bool = True,
) -> Checkpoint:
    """Load model, tokenizer and settings; a plain language model becomes an untrained T1.

    Args:
        name: as `find_model` takes it; None is `inventory.default_model`, which is logged.
        merge: put the updates of an adapter into the weights; else they stay beside them.
        trust_remote_code: run Python code that lies in the folder, if the model needs it.

    Raises:
        Thought1Error: the folder cannot be loaded as a causal language model, not whole, or needs
            such code, which may not run.
    """
    if name is None:
        meant = default_model()
        logger.warning("%s", meant)
        name = meant.name
    place, target = find_model(name), _device(device)
    label = place.name
    settings = None if place.gguf else Settings.load(place.folder)
    found = _weights(place, settings, _dtype(dtype, target), trust_remote_code, merge)
    loaded = found.loaded
    model, tokenizer = loaded.model, loaded.tokenizer
    plain = settings is None
    if settings is None:
        logger.warning("%s has no t1.json: default templates, untrained as a retriever", label)
        settings = _default_settings(loaded, label)
    if settings.emb_token not in tokenizer.get_vocab():
        with loading_errors(f"{label} cannot be given {settings.emb_token}", label):
            add_emb_token(model, tokenizer, settings.emb_token)
    cast(nn.Module, model).to(target)
    companion = find_companion(settings, place, device=target, trust_remote_code=trust_remote_code)
    checkpoint = Checkpoint(
        place,
        model.eval(),
        tokenizer,
        settings,
        companion,
        found.base,
        found.adapter,
        random_head=loaded.random_head,
    )
    if companion is not None and settings.companion and settings.companion.reader == "projection":
        checkpoint.projection = load_projection(place, companion.dim, checkpoint.engine().dim)
    if plain:
        check_runs(label, checkpoint.engine(), tokenizer)
    return checkpoint


def _weights(
    place: Place,
    settings: Settings | None,
    dtype: torch.dtype,
    trust_remote_code: bool,
    merge: bool,
) -> Adapted:
    """The model's weights, those of an adapter with their base."""
    if not is_adapter(place):
        return Adapted(load_model(place, dtype, trust_remote_code))
    found = load_adapter(place, settings, dtype, trust_remote_code, resize=merge)
    if not merge:
        return found
    found.adapter.merge_and_unload()
    return replace(found, adapter=None)


def _default_settings(loaded: Loaded, label: str) -> Settings:
    try:
        return default_settings(loaded.tokenizer, max_positions(loaded.model.config), label)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise Thought1Error(
            f"the chat template of {label} cannot be used ({reason(error)}): mend it, or remove it "
            "from the folder (chat_template.jinja, or tokenizer_config.json)"
        ) from error


def _device(device: str | torch.device | None) -> torch.device:
    try:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise Thought1Error(f"unknown device {device!r}: {reason(error)}") from None
    if target.type == "cuda" and not torch.cuda.is_available():
        raise Thought1Error(f"no GPU is available for device {device!r}: use cpu")
    return target


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise Thought1Error(f"unknown dtype {dtype!r}: use float32, bfloat16 or float16")
    return found


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


def save_checkpoint(checkpoint: Checkpoint, folder: Path, *, dtype: str | None = None) -> None:
    """Write the checkpoint: whole beside the folder first, then moved into it.

    What cannot be written, or is interrupted before the move, leaves the folder as it was.

    Args:
        dtype: stored type of the weights, e.g. "float16"; None keeps the one in memory.

    Raises:
        Thought1Error: a template breaks inside a token.
    """
    renderer = Renderer(checkpoint.tokenizer)
    for template in (checkpoint.settings.query, checkpoint.settings.document):
        renderer.check(template)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder.parent))
    try:
        _write(checkpoint, staging, dtype)
        folder.mkdir(exist_ok=True)
        written = list(staging.iterdir())
        for path in written:
            if path.is_dir():
                shutil.rmtree(folder / path.name, ignore_errors=True)
            path.replace(folder / path.name)
        kept = {path.name for path in written}
        for pattern in _MODEL_FILES:
            for stale in folder.glob(pattern):
                if stale.name not in kept:
                    stale.unlink()
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(checkpoint: Checkpoint, folder: Path, dtype: str | None) -> None:
    if checkpoint.adapter is not None:
        _write_adapter(checkpoint, folder, dtype)
        return
    model = checkpoint.model
    state = {k: v for k, v in model.state_dict().items() if k not in checkpoint.random_head}
    kept = model.config.dtype
    if dtype is not None:
        stored = _dtype(dtype, model.device)
        # One conversion for each piece of memory: tied weights stay tied, and are written once.
        places = {k: (v.data_ptr(), v.shape) for k, v in state.items() if v.is_floating_point()}
        converted = {place: state[k].to(stored) for k, place in places.items()}
        state = {k: converted[places[k]] if k in places else v for k, v in state.items()}
    try:
        model.save_pretrained(folder, state_dict=state, max_shard_size=MAX_SHARD)
        if dtype is not None:  # save_pretrained notes the type in memory
            model.config.dtype = stored
            model.config.save_pretrained(folder)
    finally:
        model.config.dtype = kept
    _write_rest(checkpoint, replace(checkpoint.settings, base=None), folder)


def _write_adapter(checkpoint: Checkpoint, folder: Path, dtype: str | None) -> None:
    base = checkpoint.base
    assert base is not None
    stored = None if dtype is None else _dtype(dtype, checkpoint.model.device)
    save_adapter(checkpoint.adapter, base, folder, stored)
    _write_rest(checkpoint, replace(checkpoint.settings, base=base), folder)


def _write_rest(checkpoint: Checkpoint, settings: Settings, folder: Path) -> None:
    checkpoint.tokenizer.save_pretrained(folder)
    settings.save(folder)
    if checkpoint.projection is not None:
        save_projection(checkpoint.projection, folder)
    if settings.companion and settings.companion.model == OWN_COMPANION:
        assert checkpoint.companion is not None
        shutil.copytree(checkpoint.companion.folder, folder / OWN_COMPANION)
    for path in folder.rglob("*"):
        # safetensors writes files that only their owner may read
        path.chmod(0o755 if path.is_dir() else 0o644)
