"""Training texts: every kind of source, every way its files can be wrong, and what may be used."""

import gzip
import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from thought1.data.formats import BeirFolder
from thought1.training.data.sources import (
    Rationale,
    TrainingData,
    TrainingPair,
    read_ids,
    read_sources,
)
from thought1.training.recipe import Recipe, ReinforceStage, SourceConfig, load_recipe
from thought1.types import Thought1Error

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))

CORPUS = [
    {"_id": "d1", "title": "Heat", "text": "most solids expand when heated"},
    {"_id": "d2", "text": "ice floats on water"},
    {"_id": "d3", "text": "salt lowers the freezing point"},
]
QUERIES = [
    {"_id": "train:1", "text": "Why do bridges have gaps?"},
    {"_id": "train:2", "text": "Why do roads stay wet in winter?"},
    {"_id": "dev:1", "text": "Why does ice float?"},
]
TRAIN = [("train:1", "d1", 1), ("train:1", "d2", 0), ("train:2", "d3", 2), ("train:2", "d1", 1)]


def write_lines(path: Path, rows: list[object]) -> Path:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


def write_beir(folder: Path, qrels: list[tuple[str, str, int]] = TRAIN) -> Path:
    write_lines(folder / "corpus.jsonl", list(CORPUS))
    write_lines(folder / "queries.jsonl", list(QUERIES))
    header = "query-id\tcorpus-id\tscore"
    write_lines(folder / "qrels" / "train.tsv", [header, *("\t".join(map(str, r)) for r in qrels)])
    return folder


def read(folder: Path, *sources: SourceConfig, seed: int = 0) -> TrainingData:
    return read_sources(sources, folder, folder, seed)


def refused(folder: Path, source: SourceConfig) -> str:
    with pytest.raises(Thought1Error) as caught:
        read(folder, source)
    return str(caught.value)


# -- beir ----------------------------------------------------------------------------------


def test_beir_gives_pairs_of_judged_queries(tmp_path: Path) -> None:
    write_beir(tmp_path / "c")
    data = read(tmp_path, SourceConfig("c", "beir", id_prefix="train:"))
    heat = "Heat\nmost solids expand when heated"
    assert data.pairs == [
        TrainingPair("train:1", "Why do bridges have gaps?", (heat,)),
        TrainingPair(
            "train:2",
            "Why do roads stay wet in winter?",
            ("salt lowers the freezing point", heat),
        ),
    ]
    assert data.pool == [heat, "ice floats on water", "salt lowers the freezing point"]
    assert data.texts == []


def test_beir_reads_the_split_that_is_named(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "c")
    (folder / "qrels" / "train.tsv").rename(folder / "qrels" / "other.tsv")
    assert len(read(tmp_path, SourceConfig("c", "beir", split="other")).pairs) == 2
    message = refused(tmp_path, SourceConfig("c", "beir"))
    assert "no split 'train'; it has: other" in message


def test_the_files_are_remembered_with_their_hashes(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "c")
    files = read(tmp_path, SourceConfig("c", "beir")).files
    assert sorted(files) == ["c/corpus.jsonl", "c/qrels/train.tsv", "c/queries.jsonl"]
    content = (folder / "corpus.jsonl").read_bytes()
    assert files["c/corpus.jsonl"] == hashlib.sha256(content).hexdigest()


def test_a_query_id_outside_the_prefix_is_an_error(tmp_path: Path) -> None:
    write_beir(tmp_path / "c", [*TRAIN, ("dev:1", "d2", 1)])
    message = refused(tmp_path, SourceConfig("c", "beir", id_prefix="train:"))
    assert message.endswith("c: training query dev:1 does not begin with 'train:'")


def test_a_prefix_violation_counts_even_if_the_query_is_excluded(tmp_path: Path) -> None:
    write_beir(tmp_path / "c", [*TRAIN, ("dev:1", "d2", 1)])
    (tmp_path / "ids.txt").write_text("dev:1\n")
    source = SourceConfig("c", "beir", id_prefix="train:", exclude="ids.txt")
    assert "dev:1 does not begin" in refused(tmp_path, source)


def test_excluded_queries_are_left_out(tmp_path: Path) -> None:
    write_beir(tmp_path / "c")
    (tmp_path / "ids.txt").write_text("# a comment\n\n  train:1 \n")
    data = read(tmp_path, SourceConfig("c", "beir", exclude="ids.txt"))
    assert [pair.query_id for pair in data.pairs] == ["train:2"]
    assert len(data.pool) == 3


@pytest.mark.parametrize("name", ["thoughts", "evidence"])
def test_a_file_that_belongs_to_other_questions_is_refused(tmp_path: Path, name: str) -> None:
    write_beir(tmp_path)
    line = {"_id": "other:1", "text": "a thought", "documents": ["a note"]}
    write_lines(tmp_path / "lines.jsonl", [line])
    source = replace(SourceConfig(".", "beir"), **{name: "lines.jsonl"})
    assert "none of its ids is a query of" in refused(tmp_path, source)


def test_read_ids(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("# chosen once\ntrain:1\n\ntrain:a#b\n  # indented\n")
    assert read_ids(path) == {"train:1", "train:a#b"}
    with pytest.raises(Thought1Error, match="no such file of query ids"):
        read_ids(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("train:9", "d1", 1), "train.tsv: query train:9 does not exist"),
        (("train:1", "d9", 1), "train.tsv: document d9 does not exist"),
    ],
)
def test_judgements_of_what_does_not_exist(
    tmp_path: Path, row: tuple[str, str, int], expected: str
) -> None:
    write_beir(tmp_path / "c", [*TRAIN, row])
    assert expected in refused(tmp_path, SourceConfig("c", "beir"))


def test_packed_files_and_empty_documents_of_a_collection(tmp_path: Path) -> None:
    empty = {"_id": "d0", "text": " ", "title": ""}
    qrels = [*TRAIN, ("train:1", "d0", 1), ("train:3", "d0", 1)]
    folder = write_beir(tmp_path / "c", qrels)
    write_lines(folder / "corpus.jsonl", [*CORPUS, empty])
    write_lines(folder / "queries.jsonl", [*QUERIES, {"_id": "train:3", "text": "What is void?"}])
    plain = read(tmp_path, SourceConfig("c", "beir"))
    assert {pair.query_id: len(pair.positives) for pair in plain.pairs} == {
        "train:1": 1, "train:2": 2
    }  # fmt: skip
    assert len(plain.pool) == len(CORPUS)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"):
        file = folder / name
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert read(tmp_path, SourceConfig("c", "beir")) == plain  # the hashes too


@pytest.mark.parametrize(
    ("file", "line", "number"),
    [
        ("corpus.jsonl", "{broken", 4),
        ("corpus.jsonl", '{"_id": "d1", "text": "again"}', 4),
        ("queries.jsonl", '{"text": "no id"}', 4),
        ("qrels/train.tsv", "train:1\td1\tmany", 6),
    ],
)
def test_broken_rows_of_a_collection(tmp_path: Path, file: str, line: str, number: int) -> None:
    path = write_beir(tmp_path / "c") / file
    path.write_text(path.read_text() + line + "\n")
    assert f"{path}:{number}: " in refused(tmp_path, SourceConfig("c", "beir"))


# -- columns -------------------------------------------------------------------------------

LONG = "Reproduction is the process by which living things give rise to offspring."


def test_columns_give_pairs(tmp_path: Path) -> None:
    rows = [
        "What is it called when\\nliving things have offspring?\\nOptions: (A)\tA\t" + LONG,
        f"too short\tA\t{LONG}",
        "The answer to this one is short\tA\ttwo words",
        "",
        f"Is a space at the end   kept here ?\tB\t {LONG} ",
    ]
    write_lines(tmp_path / "rows.tsv", list(rows))
    source = SourceConfig("rows.tsv", "columns", query=0, document=2, cut="\\nOptions")
    data = read(tmp_path, source)
    assert [(pair.query, pair.positives) for pair in data.pairs] == [
        ("What is it called when living things have offspring?", (LONG,)),
        ("Is a space at the end kept here ?", (LONG,)),
    ]
    ids = [pair.query_id for pair in data.pairs]
    assert ids == [f"{tmp_path / 'rows.tsv'}:1", f"{tmp_path / 'rows.tsv'}:5"]
    assert list(data.files) == ["rows.tsv"]


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    write_lines(tmp_path / "rows.tsv", [f"x\t{LONG}\tWhy do all living things reproduce?"])
    data = read(tmp_path, SourceConfig("rows.tsv", "columns", query=2, document=1))
    assert data.pairs[0].query == "Why do all living things reproduce?"
    assert data.pairs[0].positives == (LONG,)


def test_a_line_with_too_few_columns(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.tsv", [f"one two three four five\t{LONG}", "only one"])
    message = refused(tmp_path, SourceConfig("rows.tsv", "columns"))
    assert message == f"{path}:2: 1 columns, but columns 0 and 1 (from 0) are needed"


# -- texts ---------------------------------------------------------------------------------


def test_texts_give_documents_by_a_template(tmp_path: Path) -> None:
    rows: list[object] = [
        {"members": ["dog", "hound"], "definition": "an animal\nthat barks", "n": 3},
        {"members": [], "definition": "alone", "n": 1},
    ]
    write_lines(tmp_path / "words.jsonl", rows)
    data = read(
        tmp_path, SourceConfig("words.jsonl", "texts", template="{members}: {definition} ({n})")
    )
    assert data.texts == [
        ("document", "dog, hound: an animal that barks (3)"),
        ("document", ": alone (1)"),
    ]
    assert data.pairs == [] and data.pool == []


def test_texts_are_read_from_gzip(tmp_path: Path) -> None:
    write_lines(tmp_path / "words.jsonl.gz", [{"text": "ein Text über Salz"}])
    data = read(tmp_path, SourceConfig("words.jsonl.gz", "texts"))
    assert data.texts == [("document", "ein Text über Salz")]


def test_a_text_without_content_is_left_out(tmp_path: Path) -> None:
    write_lines(tmp_path / "words.jsonl", [{"text": " \n"}, {"text": "salt"}])
    assert read(tmp_path, SourceConfig("words.jsonl", "texts")).texts == [("document", "salt")]


def test_long_texts_become_passages(tmp_path: Path) -> None:
    sentences = [f"Sentence number {i} speaks about salt and water." for i in range(60)]
    text = " ".join(sentences[:30]) + "\n\n---\ntitle: x\n\n" + " ".join(sentences[30:])
    write_lines(tmp_path / "book.jsonl", [{"text": text}])
    source = SourceConfig("book.jsonl", "texts", passage_words=40)
    passages = [text for _, text in read(tmp_path, source).texts]
    assert len(passages) > 5
    assert all(5 <= len(passage.split()) <= 40 for passage in passages)
    # In order, nothing lost but the markup, no passage across the paragraph's end.
    assert " ".join(passages) == " ".join(sentences)
    assert not any("number 29" in passage and "number 30" in passage for passage in passages)
    assert len({len(passage.split()) for passage in passages}) > 1


def test_a_sentence_without_an_end_is_cut_between_words(tmp_path: Path) -> None:
    words = [f"incomprehensibility{i}" for i in range(200)]
    write_lines(tmp_path / "book.jsonl", [{"text": " ".join(words)}])
    source = SourceConfig("book.jsonl", "texts", passage_words=40)
    passages = [text for _, text in read(tmp_path, source).texts]
    assert " ".join(passages).split() == words
    assert all(20 <= len(passage.split()) <= 40 for passage in passages[:-1])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{broken", "not valid JSON"),
        ("[1]", "needs a JSON object"),
        ('{"title": "x"}', "field 'text' is missing"),
        ('{"text": null}', "field 'text' is missing"),
    ],
)
def test_broken_lines_of_texts(tmp_path: Path, line: str, problem: str) -> None:
    path = write_lines(tmp_path / "words.jsonl", [{"text": "salt"}, "", line])
    message = refused(tmp_path, SourceConfig("words.jsonl", "texts"))
    assert message.startswith(f"{path}:3: ")
    assert problem in message


def test_a_line_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    path.write_bytes(b'{"text": "salt"}\n{"text": "\xff"}\n')
    assert refused(tmp_path, SourceConfig("words.jsonl", "texts")).startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    "template", ["{text", "no slot", "{text.upper}", "{}", "{a[0]}", "{a:d}", "{a!x}", "{a:{b}}"]
)
def test_broken_templates(tmp_path: Path, template: str) -> None:
    write_lines(tmp_path / "words.jsonl", [{"text": "salt", "a": "x"}])
    message = refused(tmp_path, SourceConfig("words.jsonl", "texts", template=template))
    assert message.startswith(f"the template {template!r}")


# -- rationales ----------------------------------------------------------------------------


def test_rationales_are_questions_with_thoughts(tmp_path: Path) -> None:
    whole = [(f"Why does ice number {i} float?", f"Ice {i} is light in water.") for i in range(9)]
    rows = [f"id\t{query}\tyes\t{thought}" for query, thought in whole]
    short = "id\tWhy does ice float on water?\tyes\tIt is light."
    write_lines(tmp_path / "r.tsv", [*rows, short])
    source = SourceConfig("r.tsv", "rationales", query=1, document=3)
    data = read(tmp_path, source)
    assert (data.rationales, data.pairs, data.texts) == ([Rationale(*w) for w in whole], [], [])
    assert set(data.files) == {"r.tsv"}
    some = read(tmp_path, replace(source, limit=3), seed=1).rationales
    assert len(some) == 3 and set(some) < set(data.rationales)
    assert some == read(tmp_path, replace(source, limit=3), seed=1).rationales


# -- all kinds -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["beir", "columns", "texts"])
def test_a_missing_path_says_how_to_set_data(tmp_path: Path, kind: str) -> None:
    message = refused(tmp_path, SourceConfig("absent", kind))  # type: ignore[arg-type]
    assert str(tmp_path / "absent") in message
    assert "data=FOLDER" in message


def test_a_folder_where_a_file_is_needed(tmp_path: Path) -> None:
    write_beir(tmp_path / "c")
    assert "cannot be read" in refused(tmp_path, SourceConfig("c", "texts"))


def test_limit_draws_by_the_seed(tmp_path: Path) -> None:
    write_lines(tmp_path / "words.jsonl", [{"text": f"text {i}"} for i in range(100)])
    source = SourceConfig("words.jsonl", "texts", limit=10)

    def drawn(seed: int) -> list[str]:
        return [text for _, text in read(tmp_path, source, seed=seed).texts]

    assert len(set(drawn(0))) == 10
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_limit_applies_to_every_kind(tmp_path: Path) -> None:
    write_beir(tmp_path / "c")
    write_lines(tmp_path / "rows.tsv", [f"one two three four {i}\t{LONG}" for i in range(5)])
    write_lines(tmp_path / "words.jsonl", [{"text": f"text {i}"} for i in range(5)])
    data = read(
        tmp_path,
        SourceConfig("c", "beir", limit=1),
        SourceConfig("rows.tsv", "columns", limit=2),
        SourceConfig("words.jsonl", "texts", limit=3),
    )
    assert (len(data.pairs), len(data.texts), len(data.pool)) == (3, 3, 3)
    many = SourceConfig("words.jsonl", "texts", limit=99)
    assert len(read(tmp_path, many).texts) == 5


def test_split_pairs_makes_single_texts_of_everything_once(tmp_path: Path) -> None:
    write_beir(tmp_path / "c")
    data = read(tmp_path, SourceConfig("c", "beir"))
    data.split_pairs()
    assert data.pairs == [] and data.pool == []
    assert sorted(data.texts) == [
        ("document", "Heat\nmost solids expand when heated"),
        ("document", "ice floats on water"),
        ("document", "salt lowers the freezing point"),
        ("query", "Why do bridges have gaps?"),
        ("query", "Why do roads stay wet in winter?"),
    ]


# -- the repository's own recipes on the real data -------------------------------------------


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


@cache
def questions_of(source: SourceConfig, data: Path, folder: str, seed: int) -> dict[str, str]:
    """Id -> question of everything that a source trains on; rationales have no ids.

    What is thought and shown may be a file of one's own.
    """
    asking = replace(source, thoughts="", evidence="")
    found = read_sources((asking,), data, Path(folder), seed)
    questions = {pair.query_id: pair.query for pair in found.pairs}
    return questions | {f"rationale {i}": one.query for i, one in enumerate(found.rationales)}


def training_questions(recipe: Recipe, source: SourceConfig, data: Path) -> dict[str, str]:
    return questions_of(source, data, recipe.folder, recipe.seed)


# A world has no public questions: `t1 worlds` writes its training and test questions apart.
PUBLIC = [path for path in RECIPES if not path.name.startswith("worlds")]


@pytest.fixture(params=PUBLIC, ids=lambda path: path.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(request.param)


def validation_ids(recipe: Recipe) -> frozenset[str]:
    assert recipe.validation is not None, f"{recipe.name} chooses nothing on held-out questions"
    return read_ids(Path(recipe.folder) / recipe.validation.ids)


def test_only_train_questions_are_trained_on(recipe: Recipe, shared_data: Path) -> None:
    held_out = validation_ids(recipe)
    sources = [source for stage in recipe.stages for source in stage.sources]
    assert any(source.kind == "beir" for source in sources)
    for source in (source for source in sources if source.kind == "beir"):
        ids = set(training_questions(recipe, source, shared_data))
        assert ids, source.path
        assert all(query_id.startswith("train:") for query_id in ids), source.path
        assert not ids & held_out, source.path


def test_validation_ids_are_200_judged_train_questions(recipe: Recipe, shared_data: Path) -> None:
    assert recipe.validation is not None
    held_out = validation_ids(recipe)
    folder = BeirFolder(shared_data / recipe.validation.path)
    assert len(held_out) == 200
    assert all(query_id.startswith("train:") for query_id in held_out)
    assert held_out <= set(folder.qrels("train"))


def test_no_held_out_question_is_trained_on_in_any_file(recipe: Recipe, shared_data: Path) -> None:
    """Dev and validation questions, compared as text: another file may hold the same question."""
    assert recipe.validation is not None
    folder = BeirFolder(shared_data / recipe.validation.path)
    held_out = validation_ids(recipe)
    questions = {query.id: plain(query.text) for query in folder.queries()}
    dev = {text for query_id, text in questions.items() if query_id.startswith("dev:")}
    assert len(dev) == 187
    forbidden = dev | {questions[query_id] for query_id in held_out}
    seen: set[SourceConfig] = set()
    for source in (source for stage in recipe.stages for source in stage.sources):
        if source.kind == "texts" or source in seen:
            continue
        seen.add(source)
        queries = set(map(plain, training_questions(recipe, source, shared_data).values()))
        assert queries, source.path
        assert not queries & forbidden, source.path


@pytest.mark.parametrize("name", ["nano-gpu", "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b-instruct-2507"])
def test_stage_3_asks_questions_that_no_other_stage_sees_with_answers(
    name: str, shared_data: Path
) -> None:
    recipe = load_recipe(ROOT / "recipes" / f"{name}.toml")
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for stage in recipe.stages:
        # A teacher of its own is tuned by the questions and answers of the pairs.
        rewarded = isinstance(stage, ReinforceStage)
        if not rewarded and not stage.needs_pairs and not stage.teacher:
            continue
        for source in (source for source in stage.sources if source.kind == "beir"):
            questions = training_questions(recipe, source, shared_data).values()
            seen[rewarded].update(map(plain, questions))
    assert (len(seen[True]), len(seen[False])) == (300, 808)
    assert not seen[True] & seen[False]
