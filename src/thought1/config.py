"""Recipes: a TOML file becomes validated dataclasses; unknown keys are errors.

    name = "t1-nano"
    [model]
    base = "owner/name"
    [[stages]]
    ...

Any value can be set from outside: `KEY=VALUE`, where KEY is a path such as `model.base` or
`stages.1.max_steps`. It knows names, types and ranges, not what a training does with them.
"""

import math
import tomllib
import types
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from thought1.types import Thought1Error

Role = Literal["query", "document"]

RANGES: dict[str, Callable[[float], bool]] = {
    "0 or more": lambda x: 0 <= x < math.inf,
    "1 or more": lambda x: 1 <= x < math.inf,
    "above 0": lambda x: 0 < x < math.inf,
    "from 0 to below 1": lambda x: 0 <= x < 1,
}
Natural = Annotated[int, "0 or more"]
Count = Annotated[int, "1 or more"]
Weight = Annotated[float, "0 or more"]
Positive = Annotated[float, "above 0"]

BEIR, COLUMNS, TEXTS = {"kind": "beir"}, {"kind": "columns"}, {"kind": "texts"}
"""Marks of fields that only one kind of source reads."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The checkpoint that training starts from."""

    base: str
    """Folder, hub id, or `package:NAME/FOLDER` (a folder inside an installed Python package)."""
    vocab_size: Natural = 0
    """Keep only this many tokens, the most frequent in the texts of the first stage; 0 keeps
    all. WordPiece vocabularies only."""
    query_template: str = ""
    """See `prompts.Template`; "" keeps the base's, here and in the next three."""
    document_template: str = ""
    query_instruction: str = ""
    document_instruction: str = ""
    max_query_tokens: Count = 128
    max_document_tokens: Count = 256
    thought_budget: Natural = 32
    """Default thinking budget of the checkpoint, in tokens."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One file or folder of training texts. Fields marked with a kind are for that kind only."""

    path: str
    """Relative to the recipe's `data`."""
    kind: Literal["beir", "columns", "texts"]
    """`beir`: a collection with qrels gives pairs. `columns`: tab-separated lines give pairs.
    `texts`: JSON lines give single texts."""
    split: str = field(default="train", metadata=BEIR)
    """Which qrels."""
    id_prefix: str = field(default="", metadata=BEIR)
    """Every query id must begin with this; another one is an error."""
    exclude: str = field(default="", metadata=BEIR)
    """File with query ids to leave out, one a line, relative to the recipe's folder."""
    query: Natural = field(default=0, metadata=COLUMNS)
    document: Natural = field(default=1, metadata=COLUMNS)
    """Numbers of the query's and the document's column, from 0."""
    cut: str = field(default="", metadata=COLUMNS)
    """The query ends where this string begins."""
    template: str = field(default="{text}", metadata=TEXTS)
    """Fields of the JSON object in a pattern; lists are joined by commas."""
    passage_words: Natural = field(default=0, metadata=TEXTS)
    """Split into passages of about this many words; 0 keeps a text whole."""
    limit: Natural = 0
    """At most this many examples, drawn by the recipe's seed; 0 takes all."""


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One training run (stage 1, represent). Weights of 0 switch a term off."""

    name: str
    sources: tuple[SourceConfig, ...]
    stage: Literal["represent"] = "represent"
    teacher: str = ""
    """Instead of the recipe's teacher, in this stage."""
    epochs: Positive = 1.0
    max_steps: int = -1
    """Optimizer steps; overrides `epochs` where positive."""
    tokens_per_batch: Count = 4096
    """Single texts: tokens of one batch, padding included."""
    queries_per_batch: Count = 64
    """Pairs: queries of one batch."""
    positives_per_query: Count = 4
    negatives_per_query: Natural = 0
    """Hard negatives for each query, drawn from the teacher's best `negative_depth`."""
    negative_depth: Count = 50
    accumulation: Count = 1
    """Batches of one optimizer step, in each process."""
    learning_rate: Positive = 1e-4
    warmup_ratio: Annotated[float, "from 0 to below 1"] = 0.05
    """Share of the steps in which the learning rate rises; then it falls linearly to 0."""
    weight_decay: Weight = 0.01
    max_grad_norm: Weight = 1.0
    """Longer gradients are shortened to this norm; 0 leaves them."""
    bf16: bool = True
    """Autocast to bfloat16; weights and optimizer stay float32."""
    weight_contrastive: Weight = 1.0
    temperature: Positive = 0.05
    false_negative_margin: Weight = 0.0
    """Ignore negatives whose teacher similarity exceeds the positive's minus this; needs a
    teacher. 0 only ignores same document and same text."""
    weight_triplet: Weight = 0.0
    """Each query with its first positive and the hardest negative of its batch."""
    triplet_margin: Weight = 0.1
    weight_distill: Weight = 0.0
    """1 - cosine between vector and teacher's vector."""
    weight_distill_similarity: Weight = 0.0
    """KL between the in-batch similarity distributions of teacher and student."""
    distill_temperature: Positive = 0.05
    grad_cache_chunk: Natural = 0
    """Rows encoded at a time, with gradients cached between; 0 encodes a batch at once."""
    save_minutes: Weight = 3.0
    """Time between two checkpoints; the last two are kept."""
    log_steps: Count = 20
    eval_steps: Natural = 0
    """Validate every so many steps; 0 only at the end."""

    @property
    def needs_pairs(self) -> bool:
        """Whether a term compares queries with documents."""
        return self.weight_contrastive > 0 or self.weight_triplet > 0

    @property
    def distils(self) -> bool:
        """Whether a term compares vectors with a teacher's."""
        return self.weight_distill > 0 or self.weight_distill_similarity > 0

    @property
    def needs_teacher(self) -> bool:
        """Whether anything reads the teacher's vectors."""
        return self.distils or self.false_negative_margin > 0 or self.negatives_per_query > 0


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """The questions on which everything is chosen."""

    path: str
    """BEIR folder, relative to the recipe's `data`."""
    split: str
    ids: str
    """File with query ids, one a line, relative to the recipe's folder."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that makes a checkpoint."""

    name: str
    model: ModelConfig
    stages: tuple[StageConfig, ...]
    data: str = "data"
    """Folder of the training files; relative to the working directory."""
    output: str = "runs/recipe"
    seed: int = 0
    teacher: str = ""
    """sentence-transformers model whose vectors are distilled: folder, hub id or `package:`."""
    validation: ValidationConfig | None = None
    release: str = ""
    """Folder for the finished checkpoint; "" leaves it in the last stage's folder in `output`."""
    release_dtype: Literal["float32", "bfloat16", "float16"] = "float16"
    folder: str = field(default=".", metadata={"not_a_key": True})
    """Where the recipe lies; filled in by `load_recipe`."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `KEY=VALUE` overrides.

    Raises:
        Thought1Error: no such file, broken TOML, an unknown key, a missing or wrong value.
    """
    if not path.is_file():
        raise Thought1Error(f"no recipe at {path}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Thought1Error(f"{path}: {error}") from None
    for override in overrides:
        _override(content, override)
    recipe = _build(Recipe, content, str(path))
    assert isinstance(recipe, Recipe)
    if not recipe.stages:
        raise Thought1Error(f"{path}: a recipe needs at least one [[stages]] table")
    return replace(recipe, folder=str(path.parent))


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise Thought1Error(f"{override!r} is not KEY=VALUE")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    node: Any = content
    *parents, last = key.split(".")
    for part in parents:
        node = (
            node[_place(node, part, key)] if isinstance(node, list) else node.setdefault(part, {})
        )
        if not isinstance(node, (dict, list)):
            raise Thought1Error(f"{key}: {part} is a value, not a table")
    node[_place(node, last, key) if isinstance(node, list) else last] = value


def _place(node: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise Thought1Error(f"{key}: {part} is not one of the {len(node)} entries, counted from 0")
    return int(part)


def _build(cls: type, content: Any, where: str) -> Any:
    """A dataclass from a TOML table, every key and type checked."""
    if not isinstance(content, dict):
        raise Thought1Error(f"{where}: expected a table, got {content!r}")
    hints = get_type_hints(cls, include_extras=True)
    known = {item.name: item for item in fields(cls) if "not_a_key" not in item.metadata}
    for key in content:
        if key not in known:
            raise Thought1Error(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    missing = [
        name
        for name, item in known.items()
        if name not in content and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise Thought1Error(f"{where}: {', '.join(missing)} must be given")
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in content.items()}
    for key in values:
        kind = known[key].metadata.get("kind")
        if kind is not None and kind != values["kind"]:
            raise Thought1Error(f"{where}: {key!r} is read by sources of kind {kind!r} only")
    return cls(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        number = _value(args[0], value, where)
        if not RANGES[args[1]](number):
            raise Thought1Error(f"{where} is {value!r}; it must be {args[1]}")
        return number
    if origin in (Union, types.UnionType):
        return _value(next(a for a in args if a is not type(None)), value, where)
    if is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list):
            raise Thought1Error(f"{where}: expected a list, got {value!r}")
        return tuple(_value(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        if value not in args:
            raise Thought1Error(f"{where} is {value!r}; it must be one of {', '.join(args)}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise Thought1Error(f"{where} is {value!r}; it must be of type {hint.__name__}")
    return value
