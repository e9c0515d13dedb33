"""Recipes: what a TOML file may say, and how a mistake in it is reported."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from thought1.training.recipe import (
    CompanionStage,
    ReasonStage,
    Recipe,
    RepresentStage,
    ScratchConfig,
    SourceConfig,
    load_recipe,
)
from thought1.training.recipe.read import reread
from thought1.training.recipe.renamed import STAGE_KEYS
from thought1.training.recipe.table import RANGES
from thought1.types import Thought1Error

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))

MINIMAL = """
name = "small"
[model]
base = "owner/name"
[[stages]]
name = "first"
[[stages.sources]]
path = "collection"
kind = "beir"
id_prefix = "train:"
[[stages.sources]]
path = "rows.tsv"
kind = "columns"
[[stages]]
name = "second"
sources = []
"""
VALIDATION = """
[validation]
path = "collection"
split = "train"
ids = "ids.txt"
"""


def load(folder: Path, text: str = MINIMAL, *overrides: str) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(text, "utf-8")
    return load_recipe(path, overrides)


def refused(folder: Path, text: str, *overrides: str) -> str:
    """The message of the refusal; every one names the recipe's file or the override."""
    with pytest.raises(Thought1Error) as caught:
        load(folder, text, *overrides)
    return str(caught.value)


def test_minimal_recipe_has_the_documented_defaults(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert (recipe.name, recipe.model.base, recipe.folder) == ("small", "owner/name", str(tmp_path))
    assert [stage.name for stage in recipe.stages] == ["first", "second"]
    assert recipe.stages[0].sources == (
        SourceConfig("collection", "beir", id_prefix="train:"),
        SourceConfig("rows.tsv", "columns"),
    )
    assert recipe.stages[0] == RepresentStage("first", recipe.stages[0].sources)
    assert recipe.validation is None


def test_validation_table(tmp_path: Path) -> None:
    validation = load(tmp_path, MINIMAL + VALIDATION).validation
    assert validation is not None
    assert (validation.path, validation.split, validation.ids) == ("collection", "train", "ids.txt")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_of_the_repository_load(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.stages
    assert recipe.folder == str(path.parent)


def test_stage_3_alone_is_the_last_stage_of_t1_nano() -> None:
    whole, alone = (
        load_recipe(ROOT / "recipes" / f"{name}.toml") for name in ("nano-cpu", "nano-reinforce")
    )
    assert whole.stages[-1] == alone.stages[-1]


def test_there_are_recipes() -> None:
    assert ROOT / "recipes" / "nano-cpu.toml" in RECIPES


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("epoch = 3", "recipe.toml: unknown key 'epoch'"),
        ("model.bse = 'x'", "recipe.toml: model: unknown key 'bse'"),
        ("stages.1.lerning_rate = 1", "recipe.toml: stages[1]: unknown key 'lerning_rate'"),
        ("stages.0.sources.1.kinds = 'x'", "recipe.toml: stages[0]: sources[1]: unknown key"),
        ("validation.id = 'x'", "recipe.toml: validation: unknown key 'id'"),
        ("folder = 'x'", "recipe.toml: unknown key 'folder'"),
    ],
)
def test_unknown_keys_are_errors_at_every_level(tmp_path: Path, line: str, where: str) -> None:
    key, _, value = line.partition(" = ")
    message = refused(tmp_path, MINIMAL + VALIDATION, f"{key}={value}")
    assert where in message
    assert "known are" in message


def test_an_unknown_key_in_the_file(tmp_path: Path) -> None:
    message = refused(tmp_path, MINIMAL.replace("base =", "bass ="))
    assert message.endswith(
        "recipe.toml: model: unknown key 'bass'; known are base, vocab_size, query_template, "
        "document_template, query_instruction, document_instruction, max_query_tokens, "
        "max_document_tokens, thought_budget, no_repeat_ngram, companion, "
        "companion_reader, anchor, scratch"
    )


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=true", "seed is True; it must be of type int"),
        ("seed=1.0", "seed is 1.0; it must be of type int"),
        ("name=7", "name is 7; it must be of type str"),
        ("adapter=1", "adapter is 1; it must be of type bool"),
        ("stages.0.bf16=yes", "bf16 is 'yes'; it must be one of True, False, auto"),
        ("stages.0.epochs='two'", "epochs is 'two'; it must be of type float"),
        ("stages.0.epochs=true", "epochs is True; it must be of type float"),
        ("model=3", "model: expected a table, got 3"),
        ("stages=3", "stages: expected a list, got 3"),
        ("stages.0.sources=[1]", "sources[0]: expected a table, got 1"),
        ("stages=[]", "needs at least one [[stages]]"),
        ("stages.0.sources.0.kind=bear", "kind is 'bear'; it must be one of beir, columns, "),
        ("stages.0.stage=think", "stage is 'think'; it must be one of represent, reason"),
        ("model.scratch=7", "model: scratch: expected a table, got 7"),
        ("release_dtype=int8", "release_dtype is 'int8'; it must be one of float32, bfloat16"),
    ],
)
def test_wrong_types(tmp_path: Path, override: str, expected: str) -> None:
    message = refused(tmp_path, MINIMAL, override)
    assert "recipe.toml: " in message
    assert expected in message


def test_an_integer_serves_as_a_float(tmp_path: Path) -> None:
    stage = load(tmp_path, MINIMAL, "stages.0.epochs=2").stages[0]
    assert (stage.epochs, type(stage.epochs)) == (2.0, float)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("epochs", "0", "above 0"),
        ("epochs", "inf", "above 0"),
        ("temperature", "nan", "above 0"),
        ("learning_rate", "-1e-4", "above 0"),
        ("queries_per_batch", "0", "1 or more"),
        ("positives_per_query", "0", "1 or more"),
        ("accumulation", "0", "1 or more"),
        ("negatives_per_query", "-1", "0 or more"),
        ("weight_contrastive", "-0.5", "0 or more"),
        ("grad_cache_chunk", "-1", "0 or more"),
        ("warmup_ratio", "1.0", "from 0 to below 1"),
        ("log_steps", "0", "1 or more"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, key: str, value: str, rule: str) -> None:
    message = refused(tmp_path, MINIMAL, f"stages.0.{key}={value}")
    assert f"stages[0]: {key} is" in message
    assert message.endswith(f"it must be {rule}")


def test_every_range_has_an_inside_and_an_outside() -> None:
    for name, allows in RANGES.items():
        assert allows(1.0) or allows(0.0), name
        assert not any(allows(x) for x in (-1.0, float("nan"), float("inf"))), name


@pytest.mark.parametrize(
    ("cut", "missing"),
    [
        ('name = "small"\n', "recipe.toml: name must be given"),
        ('base = "owner/name"\n', "recipe.toml: model: base must be given"),
        ('path = "rows.tsv"\nkind = "columns"\n', "sources[1]: path, kind must be given"),
    ],
)
def test_missing_values(tmp_path: Path, cut: str, missing: str) -> None:
    assert cut in MINIMAL
    assert missing in refused(tmp_path, MINIMAL.replace(cut, ""))


def test_a_key_of_another_kind_of_source_is_refused(tmp_path: Path) -> None:
    """It would have no effect: the questions would be trained on, though `exclude` was written."""
    text = MINIMAL.replace('kind = "columns"', 'kind = "columns"\nexclude = "ids.txt"')
    message = refused(tmp_path, text)
    problem = "stages[0]: sources[1]: 'exclude' is read with kind = 'beir' only, not with 'columns'"
    assert problem in message


@pytest.mark.parametrize(
    ("stage", "key", "reader"),
    [
        ("reason", "weight_lm", "represent"),
        ("reason", "weight_distill_similarity", "represent"),
        ("represent", "weight_sft", "reason"),
        ("represent", "sampled_every", "reason"),
    ],
)
def test_a_key_of_another_stage_is_refused(
    tmp_path: Path, stage: str, key: str, reader: str
) -> None:
    overrides = (f"stages.1.stage={stage}", f"stages.1.{key}=1")
    message = refused(tmp_path, MINIMAL, *overrides)
    assert message.endswith(
        f"stages[1]: {key!r} is read with stage = {reader!r} only, not with {stage!r}"
    )
    sound = ("teacher=any", *(["stages.1.share_sampled_end=0.5"] if key == "sampled_every" else []))
    assert load(tmp_path, MINIMAL, f"stages.1.stage={reader}", overrides[1], *sound).stages[1]


def test_a_stage_that_is_not_named_is_represent(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL, "stages.0.weight_lm=1").stages[0].weight_language == 1
    assert "not with 'represent'" in refused(tmp_path, MINIMAL, "stages.0.share_none=0.5")


COMPANION = """
name = "small"
[model]
base = "owner/name"
companion = "owner/reader"
[[stages]]
name = "think"
stage = "represent"
weight_contrastive = 0
weight_lm = 1
sources = []
[[stages]]
name = "read"
stage = "companion"
own_folds = 3
own_samples = 2
own_temperature = 0.5
own_top_p = 0.9
sources = []
"""
REASON = """
name = "small"
[model]
base = "owner/name"
[[stages]]
name = "think"
stage = "reason"
share_own_start = 0.25
share_own_end = 0.5
own_every = 7
own_folds = 3
own_temperature = 0.5
own_top_p = 0.9
sources = []
"""


@pytest.mark.parametrize("text", [REASON, COMPANION])
def test_renamed_keys_are_read_by_their_old_names(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    old_keys = [old for old in STAGE_KEYS if f"\n{old} = " in text]
    current = text
    for old in old_keys:
        current = current.replace(f"\n{old} =", f"\n{STAGE_KEYS[old]} =")
    wanted = load(tmp_path, current)
    assert not caplog.messages
    assert load(tmp_path, text) == wanted
    (message,) = caplog.messages
    assert all(f"{old} is now {STAGE_KEYS[old]}" in message for old in old_keys)


def test_every_renamed_key_is_tested_and_gone() -> None:
    assert all(f"\n{old} = " in REASON + COMPANION for old in STAGE_KEYS)
    known = {item.name for stage in (ReasonStage, CompanionStage) for item in fields(stage)}
    assert known >= set(STAGE_KEYS.values())
    assert not known & set(STAGE_KEYS)


@pytest.mark.parametrize("key", ["own_every", "sampled_every"])
@pytest.mark.parametrize("text", [REASON, REASON.replace("own_every", "sampled_every")])
def test_an_override_wins_by_either_name(tmp_path: Path, text: str, key: str) -> None:
    (stage,) = load(tmp_path, text, f"stages.0.{key}=9").stages
    assert isinstance(stage, ReasonStage)
    assert stage.sampled_every == 9


def test_a_key_by_both_names_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, REASON.replace("own_every = 7", "own_every = 7\nsampled_every = 7"))
    assert message.endswith("stages[0]: own_every is now sampled_every: remove own_every")


@pytest.mark.parametrize("text", [REASON, COMPANION])
def test_what_an_earlier_version_recorded_is_the_same_recipe(tmp_path: Path, text: str) -> None:
    recipe = load(tmp_path, text)
    record = json.loads(json.dumps(asdict(recipe)))
    for stage in record["stages"]:
        for old, new in STAGE_KEYS.items():
            if new in stage:
                stage[old] = stage.pop(new)
    assert "own_folds" in record["stages"][-1]
    assert reread(record) == recipe


def test_which_keys_belong_to_some_kinds() -> None:
    marked: dict[tuple[str, ...], set[str]] = {}
    for item in fields(SourceConfig):
        if item.metadata:
            marked.setdefault(item.metadata["kind"], set()).add(item.name)
    assert marked == {
        ("beir",): {
            *("split", "id_prefix", "exclude"),
            *("thoughts", "thought", "thought_terms", "evidence"),
        },
        ("columns", "rationales"): {"query", "document", "cut"},
        ("texts",): {"template", "passage_words", "stream"},
    }


def test_several_kinds_may_read_a_key(tmp_path: Path) -> None:
    text = MINIMAL.replace('kind = "columns"', 'kind = "rationales"\ndocument = 3')
    assert load(tmp_path, text).stages[0].sources[1].document == 3
    message = refused(tmp_path, MINIMAL, "stages.0.sources.0.document=3")
    assert "is read with kind = 'columns' or 'rationales' only, not with 'beir'" in message


def test_a_model_from_scratch_is_a_table_of_its_own(tmp_path: Path) -> None:
    assert load(tmp_path).model.scratch is None
    sizes = [f"model.scratch.{key}=6" for key in ("layers", "hidden_size")]
    sizes += ["model.scratch.heads=3", "model.base=scratch"]
    found = load(tmp_path, MINIMAL, *sizes).model.scratch
    assert found == ScratchConfig(layers=6, hidden_size=6, heads=3)
    message = refused(tmp_path, MINIMAL, *sizes[:2])
    assert message.endswith("model: scratch: heads must be given")


def test_broken_toml_is_reported_with_file_and_line(tmp_path: Path) -> None:
    message = refused(tmp_path, 'name = "small"\nseed = = 3\n')
    assert "recipe.toml" in message
    assert "line 2" in message


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(Thought1Error, match=r"recipe\.toml.*utf-8"):
        load_recipe(path)


def test_no_such_recipe(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match=r"no recipe at .*absent"):
        load_recipe(tmp_path / "absent.toml")


def test_overrides(tmp_path: Path) -> None:
    recipe = load(
        tmp_path,
        MINIMAL,
        "seed=5",
        "output=runs/a=b",
        "release=",
        'data="two words"',
        "model.thought_budget=7",
        "stages.1.max_steps=3",
        "stages.0.sources.1.limit=9",
        "validation.path=c",
        "validation.split=train",
        "validation.ids=ids",
    )
    assert (recipe.seed, recipe.output, recipe.release) == (5, "runs/a=b", "")
    assert recipe.data == "two words"
    assert recipe.model.thought_budget == 7
    assert [stage.max_steps for stage in recipe.stages] == [-1, 3]
    assert recipe.stages[0].sources[1].limit == 9
    assert recipe.validation is not None


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL, "seed=1", "seed=2").seed == 2


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "'seed' is not KEY=VALUE"),
        ("=3", "'=3' is not KEY=VALUE"),
        ("stages.2.name=x", "stages.2.name: 2 is not one of the 2 entries, counted from 0"),
        ("stages.-1.name=x", "-1 is not one of the 2 entries"),
        ("stages.²=x", "² is not one of the 2 entries"),
        ("stages.first.name=x", "first is not one of the 2 entries"),
        ("name.first=x", "name.first: name is a value, not a table"),
        ("model..base=x", "model: unknown key ''"),
    ],
)
def test_bad_overrides(tmp_path: Path, override: str, expected: str) -> None:
    assert expected in refused(tmp_path, MINIMAL, override)


def test_an_override_into_a_list_of_values(tmp_path: Path) -> None:
    text = MINIMAL.replace("sources = []", 'sources = ["a"]')
    assert "0 is a value, not a table" in refused(tmp_path, text, "stages.1.sources.0.path=x")
