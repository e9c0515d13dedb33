"""From a folder of files to a model and its tokenizer in memory, whole, or else refused by name.

transformers fills whatever a folder lacks with random numbers, runs code in it, and prompts
on standard input whether it may; nothing of this happens here. It knows folders and transformers,
neither templates nor `t1.json`.
"""

from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from thought1.engines.hf import HFEngine
from thought1.engines.probe import disagreement, keeps_a_state
from thought1.model.dequantised import load_gguf
from thought1.model.place import Place, reason
from thought1.model.prompts import PROBES, Renderer
from thought1.types import Thought1Error

NAMED = 3
"""How many tensors a message names; the others it counts."""

_POINTER = b"version https://git-lfs"
_ADAPTER = "adapter_config.json"
_CONVERT = (
    "import glob, torch; from safetensors.torch import save_file; "
    "save_file({k: v.contiguous().clone() for p in glob.glob('pytorch_model*.bin') "
    "for k, v in torch.load(p, weights_only=True).items()}, "
    "'model.safetensors', {'format': 'pt'})"
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and its tokenizer, as loaded from a folder."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    random_head: frozenset[str]
    """Tensors of the language head that the folder lacks: it is that of an embedding model."""


def check_folder(label: str, folder: Path) -> None:
    """Refuse what the files' names and first bytes show to be unusable.

    Raises:
        Thought1Error: an adapter without its base, no configuration, Git LFS pointers in the place
            of files, or no safetensors.
    """
    if (folder / _ADAPTER).is_file():
        raise Thought1Error(
            f"{label} is an adapter ({_ADAPTER}), and can neither be the base of one nor a peer: "
            "merge it into its base first (peft's merge_and_unload, then save_pretrained), or "
            "delete that file if the weights are merged already"
        )
    if not (folder / "config.json").is_file():
        if (folder / "adapter_model.safetensors").is_file():
            raise Thought1Error(f"{label} holds an adapter's updates, but no {_ADAPTER}: add it")
        raise Thought1Error(
            f"{label} holds no config.json: it is not a model folder (a GGUF file on the hub is "
            "named as OWNER/NAME/FILE.gguf)"
        )
    check_pointers(label, folder)
    if any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("pytorch_model*.bin")):
        raise Thought1Error(
            f"{label} holds its weights as pytorch_model.bin, and Thought 1 reads safetensors: "
            f'convert them in that folder with python -c "{_CONVERT}"'
        )
    raise Thought1Error(
        f"{label} cannot be loaded as a causal language model: it holds no safetensors weights"
    )


def check_pickles(label: str, folder: Path) -> None:
    """Refuse a folder that keeps weights of any of its modules as pickles alone; a hub id has none.

    Raises:
        Thought1Error: it names the file and the command that converts it.
    """
    for file in sorted(folder.rglob("pytorch_model*.bin")) if folder.is_dir() else ():
        if not any(file.parent.glob("*.safetensors")):
            raise Thought1Error(
                f"{label} holds weights as {file.relative_to(folder)}, and Thought 1 reads "
                f'safetensors: convert them in that folder with python -c "{_CONVERT}"'
            )


def check_pointers(label: str, folder: Path) -> None:
    """Refuse a folder in which files have been left as Git LFS pointers; a hub id has none.

    Raises:
        Thought1Error: one is.
    """
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(_POINTER):
            raise Thought1Error(
                f"{label}: {path.name} is a Git LFS pointer, not the file itself: "
                "run `git lfs pull` in that folder"
            )


def load_model(place: Place, dtype: torch.dtype, trust_remote_code: bool) -> Loaded:
    """Model and tokenizer of a folder or a GGUF file; at random is left the language head at most.

    Raises:
        Thought1Error: it cannot be loaded, is incomplete, or needs custom code without permission.
    """
    label, file = place.name, place.file
    if file is None:
        check_folder(label, place.folder)
    broken = f"{label} cannot be loaded as a causal language model"
    if file is not None:
        broken += ": transformers cannot read its architecture, quantisation or tokenizer"
    with loading_errors(broken, label):
        if file is None:
            model, info, tokenizer = _load_folder(place.folder, dtype, trust_remote_code)
        else:
            model, info, tokenizer = load_gguf(label, file, dtype)
        if len(tokenizer) == len(tokenizer.added_tokens_decoder):  # made up from its class only
            raise ValueError("it has no tokenizer (tokenizer.json is missing)")
    if keeps_a_state(model):
        raise Thought1Error(
            f"{label} is a {type(model).__name__}, which keeps a state instead of keys and values, "
            "and padding would change it: Thought 1 only runs models based on attention"
        )
    head = _random_head(label, model, info)
    check_finite(label, model.named_parameters())
    check_vocabulary(label, model, tokenizer)
    return Loaded(model, tokenizer, head)


def _load_folder(
    folder: Path, dtype: torch.dtype, trust_remote_code: bool
) -> tuple[Any, dict[str, Any], Any]:
    found: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        config=_decoder_config(folder, trust_remote_code),
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        ignore_mismatched_sizes=True,  # they are reported too, and refused
        output_loading_info=True,
    )
    model, info = found
    return model, info, AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)


@contextmanager
def loading_errors(sentence: str, label: str) -> Iterator[None]:
    """What a library raises over someone's files, whatever it is, as one sentence.

    Raises:
        Thought1Error: `sentence` and the reason, or that `trust_remote_code` is required.
    """
    try:
        yield
    except Thought1Error:
        raise
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise Thought1Error(
                f"{label} includes custom Python code: give trust_remote_code=True if you trust it"
            ) from error
        raise Thought1Error(f"{sentence}: {reason(error)}") from error


def _decoder_config(folder: Path, trust_remote_code: bool) -> PretrainedConfig:
    """The configuration, with encoders of the BERT family switched to run as decoders."""
    config: PretrainedConfig = AutoConfig.from_pretrained(
        folder, trust_remote_code=trust_remote_code
    )
    if config.model_type in ("bert", "electra"):
        config.is_decoder = True
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        raise ValueError("RoBERTa counts positions from 2; take a BERT encoder or a decoder")
    return config


def _random_head(label: str, model: PreTrainedModel, info: dict[str, Any]) -> frozenset[str]:
    """Refuse a model with parameters left at random, except for a language head."""
    missing, unused = set(info["missing_keys"]), set(info["unexpected_keys"])
    check_shapes(label, info)
    prefix = f"{model.base_model_prefix}."
    backbone = {name for name in missing if name.startswith(prefix)}
    # A head stored under another prefix is present: a fault of the folder, not a choice.
    misplaced = {name for name in missing if any(_same_end(name, other) for other in unused)}
    if backbone or misplaced:
        refuse_missing(label, model, backbone or misplaced, unused)
    return frozenset(missing)


def check_shapes(label: str, info: dict[str, Any]) -> None:
    """Refuse tensors whose stored shape is not the one that the configuration gives them."""
    for name, stored, wanted in sorted(info["mismatched_keys"]):
        raise Thought1Error(
            f"{label} cannot be loaded as a causal language model: the tensor {name} is stored "
            f"with shape {tuple(stored)}, and config.json expects {tuple(wanted)}"
        )


def refuse_missing(label: str, model: PreTrainedModel, missing: Set[str], unused: Set[str]) -> None:
    """Say which tensors a folder lacks, and which it holds under names that nothing reads."""
    there = f"; it holds {listed(unused)}, which that model does not have" if unused else ""
    raise Thought1Error(
        f"{label} lacks {listed(missing)} of {type(model).__name__}, which would be left at "
        f"random{there}: take a whole checkpoint"
    )


def listed(names: Set[str]) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(sorted(names)[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more tensors"


def _same_end(name: str, other: str) -> bool:
    return name.endswith(f".{other}") or other.endswith(f".{name}")


def check_finite(label: str, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuse weights, by name, that are NaN or infinite.

    Raises:
        Thought1Error: some are; it names the tensor.
    """
    for name, weights in tensors:
        if not weights.is_floating_point() or not weights.numel() or weights.itemsize < 2:
            continue
        # NaN and infinity both show in the extremes, in one pass and without a copy.
        if not all(bool(extreme.isfinite()) for extreme in weights.detach().aminmax()):
            raise Thought1Error(
                f"{label} holds weights that are not finite numbers ({name}, as {weights.dtype}): "
                "it cannot embed anything"
            )


def check_modules(label: str, model: Any, trust_remote_code: bool) -> None:
    """Refuse a `SentenceTransformer` with weights left at random, or not finite.

    Raises:
        Thought1Error: as `load_model`; a pooler, which no such model reads, may be missing.
    """
    for module in model.modules():
        if not isinstance(module, PreTrainedModel):
            continue
        # On the meta device only names and shapes are read. What fails here has loaded already.
        found: Any = type(module).from_pretrained(
            module.name_or_path,
            config=module.config,
            device_map="meta",
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
        info = found[1]
        missing = {name for name in info["missing_keys"] if "pooler." not in name}
        if missing:
            refuse_missing(label, module, missing, set(info["unexpected_keys"]))
    check_finite(label, model.named_parameters())


def check_vocabulary(
    label: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Thought1Error over a tokenizer with tokens that the embedding has no rows for."""
    rows = len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    tokens = max(tokenizer.get_vocab().values()) + 1
    if tokens > rows:
        raise Thought1Error(
            f"{label}: the tokenizer has {tokens} tokens, but the embedding only {rows} rows: "
            "take the tokenizer that belongs to these weights, or train the rows that are missing"
        )


def check_runs(label: str, engine: HFEngine, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse an architecture that the engine cannot run, or whose vectors padding changes.

    Raises:
        Thought1Error: it fails, or a row's vector changes with the batch.
    """
    model = engine.model
    kind = type(model).__name__
    ids = Renderer(tokenizer).text(["\n".join(PROBES)])[0]
    with loading_errors(f"{label} is a {kind}, which Thought 1 cannot run", label):
        found = disagreement(engine, ids)
    if not found <= (1e-3 if model.dtype == torch.float32 else 0.2):
        raise Thought1Error(
            f"{label} is a {kind}, which Thought 1 cannot run: the vector of a text changes with "
            f"the other texts in its batch (by {found:.2g})"
        )
