"""What a stage 2 is refused for before anything is loaded: no effect, or a failure hours later."""

import json
from pathlib import Path

import pytest
from reason_recipe import OWN, RECIPE, REPRESENT, TEACH, THINK, THOUGHTS
from small_recipe import (
    FACTS,
    HEAD,
    TEXTS,
    VALIDATION,
    make_room,
    recipe,
    write_recipe,
)

from thought1.training.preflight import read_stage
from thought1.training.recipe import load_recipe
from thought1.training.run import train
from thought1.types import Thought1Error

PLAIN = HEAD + THINK + THOUGHTS
UNREFERENCED = HEAD + THINK + FACTS
RATIONALES = '[[stages.sources]]\npath = "why.tsv"\nkind = "rationales"\n'


@pytest.fixture(scope="module")
def room(room: Path) -> Path:
    line = "why does the ice melt\tit was warm in the sun\n"
    (room / "data" / "why.tsv").write_text(line * 3)
    return room


def refused(room: Path, output: Path, text: str, *overrides: str, base: str = "absent") -> str:
    """The message of a refusal; with an absent base it comes before a model is looked for."""
    with pytest.raises(Thought1Error) as caught:
        train(load_recipe(write_recipe(room, output, text, base=base), overrides))
    assert not list(output.glob("*/*"))
    assert "absent" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "settings", "problem"),
    [
        (PLAIN, ["weight_contrastive=0", "weight_triplet=0"], "needs weight_contrastive or"),
        (PLAIN + TEXTS, ["weight_sft=0"], "kind texts need weight_sft above 0"),
        (
            PLAIN + TEXTS + "stream = true\n",
            ["weight_sft=0"],
            "stream needs weight_lm or weight_sft",
        ),
        (PLAIN + THOUGHTS, [], "10 query ids come twice, train:2 for one"),
        (PLAIN, ["share_none=0.6", "share_sampled_end=0.5", "sampled_every=1"], "more than 1"),
        (PLAIN, ["share_none=0.6", "share_sampled_start=0.5", "sampled_every=1"], "more than 1"),
        (PLAIN, ["share_sampled_end=0.5"], "need sampled_every or sampled_folds above 0"),
        (PLAIN, ["share_sampled_start=0.5"], "need sampled_every or sampled_folds above 0"),
        (PLAIN, ["sampled_every=5"], "sampled_every and sampled_folds have no effect"),
        (PLAIN, ["sampled_folds=5"], "sampled_every and sampled_folds have no effect"),
        (PLAIN, ["share_sampled_end=0.5", "sampled_folds=1"], "sampled_folds is 1"),
        (UNREFERENCED, [], "leave a share of queries for one"),
        (UNREFERENCED, ["share_sampled_end=0.75", "sampled_every=1"], "leave a share of queries"),
        (UNREFERENCED, ["share_none=1"], "set weight_sft to 0"),
        (UNREFERENCED, ["share_none=1", "filter_gain=true"], "which filter_gain and sampled_folds"),
        (
            UNREFERENCED,
            ["share_none=0", "share_sampled_start=1", "share_sampled_end=1", "sampled_folds=2"],
            "which filter_gain and sampled_folds",
        ),
        (PLAIN + RATIONALES, ["weight_sft=0"], "rationales need weight_sft above 0"),
        (PLAIN, ["false_negative_margin=0.1"], "need a teacher"),
    ],
)
def test_a_stage_that_would_fail_or_ignore_a_setting(
    room: Path, tmp_path: Path, text: str, settings: list[str], problem: str
) -> None:
    overrides = [f"stages.0.{setting}" for setting in settings]
    message = refused(room, tmp_path / "run", text, *overrides)
    assert "stage think: " in message
    assert problem in message


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (PLAIN, []),
        (PLAIN, ["share_none=0.3", "share_sampled_end=0.7", "sampled_every=1"]),
        (PLAIN, ["share_sampled_end=0.5", "sampled_folds=2"]),
        (PLAIN, ["share_sampled_end=0.5", "sampled_folds=2", "sampled_every=3"]),
        (PLAIN, ["share_none=1"]),
        (PLAIN, ["weight_contrastive=0"]),
        (PLAIN, ["filter_gain=true", "lora_alpha=8"]),
        (PLAIN + RATIONALES, []),
        (UNREFERENCED, ["share_none=1", "weight_sft=0"]),
        (UNREFERENCED + RATIONALES, ["share_none=1"]),
        (
            UNREFERENCED,
            ["share_none=0.1", "share_sampled_start=0.9", "share_sampled_end=0.9",
             "sampled_every=2", "weight_sft=0"],
        ),
    ],
)  # fmt: skip
def test_what_is_allowed(room: Path, tmp_path: Path, text: str, settings: list[str]) -> None:
    overrides = [f"stages.0.{setting}" for setting in settings]
    found = recipe(room, tmp_path / "run", *overrides, text=text)
    assert read_stage(found, found.stages[0]).pairs


@pytest.mark.parametrize("key", ["thoughts", "evidence"])
def test_stage_1_with_a_contrast_reads_neither_thoughts_nor_evidence(
    room: Path, tmp_path: Path, key: str
) -> None:
    text = HEAD + REPRESENT + FACTS + f'{key} = "{key}.jsonl"\nthought = "x {{{{steps}}}}"\n'
    message = refused(room, tmp_path / "run", text)
    told = {
        "evidence": "stage contrast: evidence without thoughts has no effect in stage represent: "
        "remove it, or name the thoughts behind it",
        "thoughts": "stage contrast: thoughts in stage represent are for weight_lm only: set it "
        "above 0 and the other weights to 0, or remove them",
    }
    assert message.endswith(told[key])


def test_thoughts_of_stage_1_stand_behind_evidence(room: Path, tmp_path: Path) -> None:
    text = HEAD + TEACH + THOUGHTS + 'evidence = "evidence.jsonl"\n'
    found = recipe(room, tmp_path / "run", text=text)
    data = read_stage(found, found.stages[0])
    data.split_pairs()
    assert all(len(one.evidence) == 2 for one in data.rationales) and data.rationales


@pytest.mark.parametrize("key", ["weight_distill_similarity", "distill_temperature", "weight_lm"])
def test_settings_of_stage_1_alone(room: Path, tmp_path: Path, key: str) -> None:
    path = write_recipe(room, tmp_path / "run", PLAIN)
    with pytest.raises(Thought1Error, match=f"'{key}' is read with stage = 'represent' only"):
        load_recipe(path, [f"stages.0.{key}=0.5"])


def test_rationales_alone_are_a_stage_1(room: Path, tmp_path: Path) -> None:
    text = HEAD + REPRESENT + RATIONALES
    language = ("stages.0.weight_contrastive=0", "stages.0.weight_lm=1")
    found = recipe(room, tmp_path / "run", *language, text=text)
    assert len(read_stage(found, found.stages[0]).rationales) == 3
    trained = train(found)
    assert json.loads((trained / "t1.json").read_text())["lineage"][0]["steps"] == 2


@pytest.mark.parametrize("missing", ["thoughts", "evidence"])
def test_a_missing_file_of_the_last_stage_shows_at_once(
    room: Path, tmp_path: Path, missing: str
) -> None:
    text = HEAD + REPRESENT + FACTS + THINK + FACTS + f'{missing} = "gone.jsonl"\n'
    message = refused(room, tmp_path / "run", text)
    assert "gone.jsonl does not exist" in message


def test_the_gauge_needs_two_questions(room: Path, tmp_path: Path) -> None:
    (room / "one.txt").write_text("train:0\n")
    text = HEAD + VALIDATION + THINK + OWN + THOUGHTS
    message = refused(room, tmp_path / "run", text, "validation.ids=one.txt")
    assert message.startswith("[validation]: ")
    assert "two or more" in message
    stage_1 = HEAD + VALIDATION + REPRESENT + FACTS
    found = recipe(room, tmp_path / "other", "validation.ids=one.txt", text=stage_1)
    assert train(found).is_dir()


# -- what only the model tells -------------------------------------------------------------------

LATE = HEAD + REPRESENT + FACTS + THINK + OWN + THOUGHTS


def test_thoughts_must_fit_into_the_model_s_positions(room: Path, tmp_path: Path) -> None:
    """The tiny models have 256; nothing is trained before it shows."""
    settings = ("stages.1.max_thought_tokens=192",)
    message = refused(room, tmp_path / "run", LATE, *settings, base="qwen3")
    assert "stage think: max_query_tokens + max_thought_tokens give sequences" in message
    assert "257 tokens" in message and "256 positions" in message
    fitting = recipe(room, tmp_path / "fits", "stages.0.max_thought_tokens=191", text=RECIPE)
    assert train(fitting).is_dir()


def test_so_must_rationales(room: Path, tmp_path: Path) -> None:
    text = HEAD + REPRESENT + RATIONALES
    settings = ("stages.0.weight_contrastive=0", "stages.0.weight_lm=1")
    long = ("stages.0.max_thought_tokens=192",)
    message = refused(room, tmp_path / "run", text, *settings, *long, base="qwen3")
    assert "257 tokens" in message
    # Without any, the length means nothing.
    assert train(recipe(room, tmp_path / "other", *long, text=HEAD + REPRESENT + FACTS)).is_dir()


def test_evidence_needs_its_slot(room: Path, tmp_path: Path) -> None:
    text = LATE + 'evidence = "evidence.jsonl"\n'
    slotless = ('model.query_template="{text} \\n"',)
    message = refused(room, tmp_path / "run", text, *slotless, base="qwen3")
    assert "stage think: its evidence needs a slot {evidence}" in message
    assert not list((tmp_path / "run").glob("1-*"))


def test_the_room_of_stage_1_has_no_thoughts(tmp_path: Path) -> None:
    """`reason_recipe` adds them; a recipe that names them elsewhere is told so."""
    room = make_room(tmp_path / "room")
    assert "thoughts.jsonl does not exist" in refused(room, tmp_path / "run", RECIPE)
