"""`t1 evaluate`: the report, the run, the index it uses, what it keeps, and what it refuses."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from t1_command import NOTES, QUERIES, Ran, T1Command, read_content, write_lines

from thought1.data.formats import read_run
from thought1.data.hashing import hash_file
from thought1.t1 import T1

METRICS = {"ndcg@10", "recall@1", "recall@10", "recall@100", "mrr@10"}


@pytest.fixture(autouse=True)
def working_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Results are kept in the working directory unless told otherwise."""
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("mode", ["dense", "bm25", "hybrid"])
def test_evaluate(t1: T1Command, tmp_path: Path, collection: Path, model: str, mode: str) -> None:
    run_file = tmp_path / "run.trec"
    arguments = ["evaluate", collection, "--split", "dev", "--mode", mode]
    if mode != "bm25":
        arguments += ["--model", model]
    report = t1(*arguments, "--json", "--run", run_file).json()
    assert set(report) == {
        "metrics", "ci", "queries", "system", "model", "mode", "think", "receipt", "cost", "result",
        "checks",
    }  # fmt: skip
    assert set(report["metrics"]) == set(report["ci"]) == METRICS
    for name, value in report["metrics"].items():
        low, high = report["ci"][name]
        assert 0 <= low <= value <= high <= 1
    assert report["queries"] == report["receipt"]["queries"] == 2  # q3 is not judged
    expected = (None, None) if mode == "bm25" else (model, 8)
    assert (report["model"], report["think"]) == expected
    run = read_run(run_file)
    assert set(run) == {"q1", "q2"}
    if mode != "bm25":
        assert report["metrics"]["recall@100"] == 1.0  # the whole corpus is found
    table = t1(*arguments)
    assert f"{report['metrics']['ndcg@10']:.4f}" in table.out
    assert f"2 queries, {mode}" in table.out


ODD = [
    {"_id": "ice", "text": "Ice cubes crack in warm water.", "tags": ["a"], "doi": float("nan")},
    {"_id": "empty", "text": "", "title": ""},
    {"_id": "salt", "text": "Salt lowers the freezing point.", "metadata": {"vector": {"a": 1}}},
]


@pytest.mark.parametrize("system", ["bm25", "bm25-query", "t1", "t1-bm25"])
def test_neither_metadata_nor_empty_documents_stop_an_evaluation(
    t1: T1Command, tmp_path: Path, model: str, system: str
) -> None:
    write_lines(tmp_path / "corpus.jsonl", ODD)
    write_lines(tmp_path / "queries.jsonl", [{"_id": "q", "text": "why do ice cubes crack"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\tice\t1\n")
    options = {"t1": ["--model", model], "t1-bm25": ["--mode", "bm25"]}
    named = options.get(system, ["--system", system])
    ran = t1("evaluate", tmp_path, "--split", "dev", *named, "--json")
    assert ran.json()["metrics"]["recall@100"] == 1.0
    kept = "1 documents have neither title nor text; they are kept, as empty ones"
    assert ran.err.count(kept) == 1


def test_odd_metadata_and_empty_documents_are_indexed(
    t1: T1Command, tmp_path: Path, model: str
) -> None:
    corpus, folder = write_lines(tmp_path / "c.jsonl", ODD), tmp_path / "notes.index"
    ran = t1("index", corpus, "-o", folder, "--model", model)
    assert "3 documents (3 added" in ran.out
    assert ran.err.count("1 documents have neither title nor text") == 1
    found = t1("search", folder, "ice", "--mode", "dense", "--json").json()
    hits = {hit["id"]: hit["metadata"] for hit in found["results"][0]["hits"]}
    assert hits == {"ice": {"tags": '["a"]'}, "empty": {}, "salt": {"vector": '{"a": 1}'}}


def test_evaluate_budgets(t1: T1Command, collection: Path, model: str, built: str) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--index", built, "--json"]
    bare = t1(*arguments, "--no-think").json()
    assert (bare["think"], bare["receipt"]["thought_tokens"]) == (0, 0)
    assert bare["model"] == model  # which the index remembers
    some = t1(*arguments, "--think", "3").json()
    assert (some["think"], some["receipt"]["thought_tokens"]) == (3, 6)
    assert "contradict" in t1(*arguments, "--think", "3", "--no-think").error()


def test_evaluate_is_greedy(
    t1: T1Command, tmp_path: Path, collection: Path, model: str, built: str
) -> None:
    hot = T1.from_pretrained(model)
    thought = replace(hot.settings.thought, temperature=3.0)
    hot.checkpoint.settings = replace(hot.settings, thought=thought)
    hot.save_pretrained(tmp_path / "hot")
    arguments = ["evaluate", collection, "--split", "dev", "--index", built, "--json"]
    runs = []
    for name in (model, tmp_path / "hot"):
        file = tmp_path / "run"
        t1(*arguments, "--model", name, "--run", file).json()
        runs.append(file.read_text())
    assert runs[0] == runs[1]


def test_evaluate_keeps_the_index(
    t1: T1Command, tmp_path: Path, collection: Path, model: str
) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--index", tmp_path / "i", "--json"]
    first = t1(*arguments, "--model", model).json()
    assert t1(*arguments).json()["metrics"] == first["metrics"]
    corpus = write_lines(tmp_path / "more.jsonl", [{"_id": "x", "text": "more"}])
    assert t1("index", corpus, "-o", tmp_path / "i").code == 0
    assert "holds 5 documents and the collection 4" in t1(*arguments).error()


def test_a_reranker_that_fails_measures_nothing(
    t1: T1Command, tmp_path: Path, collection: Path, model: str
) -> None:
    nobody = "openai:http://127.0.0.1:9#m"
    results = tmp_path / "results"
    message = t1(
        "evaluate", collection, "--split", "dev", "--model", model, "--think", "0",
        "--rerank", nobody, "--results", results,
    ).error()  # fmt: skip
    assert "2 of 2 queries were not reranked, so that nothing was measured: " in message
    assert "127.0.0.1:9" in message
    assert not list(results.rglob("*.json"))


def test_evaluate_refuses_what_cannot_work(t1: T1Command, tmp_path: Path, collection: Path) -> None:
    def refused(*arguments: object) -> str:
        return t1("evaluate", *arguments).error()

    assert "has no split 'test'; it has: dev" in refused(collection, "--split", "test")
    assert "no qrels" in refused(tmp_path, "--split", "dev")
    nowhere = tmp_path / "none" / "run"
    assert "cannot be written" in refused(collection, "--split", "dev", "--run", nowhere)
    bm25 = [collection, "--split", "dev", "--mode", "bm25"]
    (tmp_path / "file").touch()
    assert "cannot be written: Not a directory" in refused(*bm25, "--results", tmp_path / "file")
    assert t1("evaluate", *bm25, "--no-results", "--price", "inf").code == 2
    assert "bm25 does not think" in refused(*bm25, "--think", "4")
    assert "bm25 does not think" in refused(*bm25, "--samples", "4")
    nano = [collection, "--split", "dev", "--model", "t1-nano"]  # whose own budget is 0
    words = [collection, "--split", "dev", "--system", "bm25"]
    own = [*nano, "--samples", "4"]
    assert "need a thinking budget of 1 token or more" in refused(*own)
    assert "greedy thoughts: leave --samples out" in refused(*own, "--curve", "0,4")
    assert "--samples is for the system t1" in refused(*words, "--samples", "4")
    assert "--rerank is for the system t1" in refused(*words, "--rerank", "t1")
    assert "are of --rerank" in refused(*nano, "--rerank-guided")
    assert "there is no reranker named 'no'" in refused(*nano, "--rerank", "no")
    assert "leave --rerank out" in refused(*nano, "--rerank", "t1", "--curve", "0,4")
    assert "--fusion is of --mode hybrid" in refused(*nano, "--fusion", "ranks")
    assert "--fusion is for the system t1" in refused(*words, "--fusion", "ranks")
    assert "would read the document" in refused(*bm25, "--rerank", "t1", "--ignore-identical-ids")
    chat = ("--rerank", "openai:http://127.0.0.1:9#m", "--rerank-guided")
    assert "one document at a time" in refused(*nano, "--think", "0", *chat)
    kept = tmp_path / "bm25.index"
    for _ in range(2):  # whether the index is there or not
        assert "this index has none" in refused(*bm25, "--rerank", "t1", "--index", kept)
    read = [*nano, "--evidence", "2"]
    assert "evidence is read before thinking" in refused(*read)
    assert "greedy thoughts: leave --evidence out" in refused(*read, "--faithfulness")
    assert "--evidence is for the system t1" in refused(*words, "--evidence", "2")
    assert "say how many documents are read" in refused(*nano, "--rounds", "2")
    assert "leave one of them out" in refused(*read, "--ignore-identical-ids")


def test_given_thoughts_are_read(
    t1: T1Command, tmp_path: Path, collection: Path, model: str
) -> None:
    rows = [{"_id": "q1", "text": "Glass cracks when hot."}, {"_id": "q2", "text": "Roads freeze."}]
    file = write_lines(tmp_path / "human.jsonl", [*rows, {"_id": "other", "text": "unasked"}])
    arguments = ["evaluate", collection, "--split", "dev", "--thoughts", file]
    report = t1(*arguments, "--model", model, "--json").json()
    assert (report["system"], report["think"]) == ("model@given+human", None)
    assert report["receipt"]["thought_tokens"] == 0
    assert list(report["receipt"]["milliseconds"]) == ["embed", "dense", "fetch"]
    content = read_content(Path(report["result"]))
    assert content["request"]["thoughts"] == str(file)
    assert content["task"]["hashes"]["thoughts"] == hash_file(file)
    assert content["cost"]["thought_tokens"] == {"mean": 0.0, "p95": 0.0}
    t1_model = T1.from_pretrained(model)
    questions = [QUERIES["q1"], QUERIES["q2"]]
    lengths = [len(ids) for ids in t1_model.renderer.text([row["text"] for row in rows])]
    read = t1_model.count_prompt_tokens(questions) + sum(lengths)
    assert content["cost"]["prompt_tokens"] == read / 2
    with gzip.open(Path(report["result"]).with_name(content["files"]["details"]), "rt") as lines:
        details = [json.loads(line) for line in lines]
    assert [line["thought"] for line in details] == [row["text"] for row in rows]
    assert {(line["thought_tokens"], line["finish_reason"]) for line in details} == {(0, "edited")}
    vectors = t1_model.encode_query(questions, thoughts=[row["text"] for row in rows])
    scores = vectors @ t1_model.encode_document([note[1] for note in NOTES]).T
    run = read_run(Path(report["result"]).with_name(content["files"]["run"]))
    assert run["q2"]["salt"] == pytest.approx(scores[1, 1], abs=1e-5)

    assert t1("replay", report["result"]).code == 0
    write_lines(file, [{**rows[0], "text": "Nothing."}, rows[1]])
    ran = t1("replay", report["result"])
    assert (ran.code, "changed since: thoughts" in ran.err.splitlines()) == (1, True)


def test_given_thoughts_that_cannot_be_read(
    t1: T1Command, tmp_path: Path, collection: Path
) -> None:
    file = write_lines(tmp_path / "t.jsonl", [{"_id": "other", "text": "unasked"}])

    def refused(*arguments: object) -> str:
        return t1("evaluate", collection, "--split", "dev", "--thoughts", file, *arguments).error()

    assert "lacks 2 of the 2 judged queries, such as 'q1' and 'q2'" in refused()
    written = "with --thoughts the model writes none: leave "
    assert f"{written}--think or --no-think out" in refused("--think", "4")
    assert f"{written}--think or --no-think out" in refused("--no-think")
    assert f"{written}--samples out" in refused("--samples", "2")
    assert f"{written}--evidence out" in refused("--evidence", "2")
    assert "own greedy thoughts: leave --thoughts out" in refused("--faithfulness")
    assert "--thoughts is of the model's vectors" in refused("--mode", "bm25")
    assert "--thoughts is for the system t1, not for bm25" in refused("--system", "bm25")
    file.write_text('{"_id": "q1", "text": " "}\n')
    assert "the thought is empty" in refused()


def test_interrupted_evaluation_leaves_nothing(
    t1: T1Command, tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def interrupt(*_: object, **__: object) -> None:
        seen.extend(scratch.iterdir())
        raise KeyboardInterrupt

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr("thought1.evaluation.systems.t1_index.search_in_batches", interrupt)
    arguments = ["evaluate", collection, "--split", "dev", "--mode", "bm25"]
    ran = t1(*arguments, "--run", tmp_path / "run")
    assert ran == Ran(130, "", "interrupted\n")
    assert len(seen) == 1  # the temporary index
    assert os.listdir(scratch) == []
    assert os.listdir(tmp_path) == ["scratch"]


def test_results_are_kept(
    t1: T1Command, collection: Path, model: str, built: str, working_directory: Path
) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--index", built, "--think", "3"]
    ran = t1(*arguments, "--price", "2.5")
    assert "1,000 queries cost " in ran.out
    file = Path(ran.err.splitlines()[-1].removeprefix("result: "))
    assert file.parts[:2] == ("results", "model@3")
    assert file.name == f"{collection.name}-dev.json"
    content = read_content(file)
    assert content["request"] == {
        "folder": str(collection), "split": "dev", "name": "", "system": "t1", "mode": "dense",
        "think": 3, "model": None, "index": built, "rewritten": None,
        "curve": None, "faithfulness": False, "ignore_identical_ids": False,
    }  # fmt: skip
    assert content["task"]["hashes"].keys() == {"corpus.jsonl", "queries.jsonl", "qrels/dev.tsv"}
    assert (content["task"]["documents"], content["task"]["queries"]) == (4, 2)
    assert content["system"]["weights"] == T1.from_pretrained(model).weights_hash
    assert content["cost"]["thought_tokens"] == {"mean": 3.0, "p95": 3.0}
    assert content["cost"]["milliseconds"].keys() == {"think", "dense", "fetch"}
    tokens = content["cost"]["prompt_tokens"] + 3
    assert content["cost"]["cost_per_1000_queries"] == pytest.approx(tokens * 2.5 / 1000)
    with gzip.open(file.with_name(content["files"]["details"]), "rt", encoding="utf-8") as lines:
        details = {line["_id"]: line for line in map(json.loads, lines)}
    assert set(details) == {"q1", "q2"}
    assert (details["q1"]["thought_tokens"], details["q1"]["relevant"]) == (3, ["ice"])
    assert len(details["q1"]["hits"]) == 4

    report = t1(*arguments, "--json", "--results", "kept", "--name", "notes").json()
    assert report["result"] == str(Path("kept", *file.parts[1:3], "notes.json"))
    assert read_content(Path(report["result"]))["metrics"] == report["metrics"]
    before = sorted(working_directory.rglob("*"))
    assert t1(*arguments, "--json", "--no-results").json()["result"] is None
    assert sorted(working_directory.rglob("*")) == before


@pytest.mark.parametrize("system", ["bm25", "bm25-query"])
def test_word_systems(t1: T1Command, tmp_path: Path, collection: Path, system: str) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--system", system]
    report = t1(*arguments, "--json", "--run", tmp_path / "run").json()
    assert (report["system"], report["mode"], report["think"]) == (system, "bm25", None)
    assert report["metrics"]["ndcg@10"] == 1.0
    assert report["receipt"]["milliseconds"].keys() == {"bm25"}
    assert read_run(tmp_path / "run")["q2"].keys() == {"salt"}
    content = read_content(Path(report["result"]))
    assert (content["system"]["kind"], content["system"]["weights"]) == (system, None)
    assert f"2 queries, bm25, system {system}" in t1(*arguments).out


def test_rewritten_queries(t1: T1Command, tmp_path: Path, collection: Path) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--system", "bm25", "--rewritten"]
    rows = [{"_id": "q1", "text": "iron rusts"}, {"_id": "q2", "text": "salt"}]
    file = write_lines(tmp_path / "swap.v2.jsonl", rows)
    report = t1(*arguments, file, "--json", "--run", tmp_path / "run").json()
    assert read_run(tmp_path / "run").keys() == {"q1", "q2"}
    assert read_run(tmp_path / "run")["q1"].keys() == {"rust"}
    content = read_content(Path(report["result"]))
    assert content["system"]["name"] == report["system"] == "bm25+swap"
    assert "rewritten" in content["task"]["hashes"]
    short = write_lines(tmp_path / "short.jsonl", rows[:1])
    assert "lacks 1 of the 2 judged queries, such as 'q2'" in t1(*arguments, short).error()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--system", "bm26"], "there is no system 'bm26'"),
        (["--system", "bm25", "--mode", "hybrid"], "--mode is for the system t1, not for bm25"),
        (["--system", "bm25", "--no-think"], "--think or --no-think is for the system t1"),
        (["--system", "bm25", "--model", "x"], "--model is for the system t1"),
        (["--system", "bm25", "--index", "x"], "--index is for the system t1"),
        (["--system", "bm25", "--curve", "0,8"], "--curve is for the system t1, not for bm25"),
        (["--system", "bm25", "--faithfulness"], "--faithfulness is for the system t1"),
        (["--mode", "hybrid", "--curve", "0,8"], "--curve studies the model's vectors: leave"),
        (["--mode", "bm25", "--faithfulness"], "--faithfulness studies the model's vectors"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    t1: T1Command, collection: Path, arguments: list[str], message: str
) -> None:
    assert message in t1("evaluate", collection, "--split", "dev", *arguments).error()


def test_studies(t1: T1Command, collection: Path, built: str) -> None:
    arguments = ["evaluate", collection, "--split", "dev"]
    for system in ("bm25", "bm25-query"):
        t1(*arguments, "--system", system, "--json").json()
    arguments += ["--index", built, "--think", "4"]
    report = t1(*arguments, "--curve", "0, 2,4", "--faithfulness", "--json").json()
    content = read_content(Path(report["result"]))
    curve, faithfulness = content["curve"], content["faithfulness"]
    assert (report["curve"], report["faithfulness"]) == (curve, faithfulness)
    assert content["origin"]["command"][-3:] == ["--curve", "0, 2,4", "--faithfulness"]
    assert curve["budgets"] == [0, 2, 4]
    assert {other["name"] for other in curve["baselines"]} == {"bm25", "bm25-query"}
    assert faithfulness["budget"] == faithfulness["dispersion"]["budget"] == 4
    # The evaluation's own search, by the index, finds what the studies find with their vectors.
    found = content["per_query"]["ndcg@10"]
    assert curve["points"][2]["per_query"] == pytest.approx(found)
    assert faithfulness["rows"]["own"]["per_query"] == pytest.approx(found)
    assert t1("report", "results").code == 0  # which reads all of it

    shown = t1(*arguments, "--curve", "4").out
    assert "thinking curve" in shown
    assert "bm25-query" in shown  # t1-nano's own earlier result is no baseline
    assert "model@4" not in shown
    assert "dispersion" not in shown
    assert "faithfulness" not in read_content(Path(report["result"]))


@pytest.mark.parametrize(
    "budgets", ["", "8,4", "4,4", "-1,2", "0,x", "0,8,", "1.5", "\N{SUPERSCRIPT TWO}"]
)
def test_budgets_that_are_none(t1: T1Command, collection: Path, budgets: str) -> None:
    arguments = ["evaluate", collection, "--split", "dev", f"--curve={budgets}"]
    message = t1(*arguments).error()
    assert "a curve needs thinking budgets, whole numbers" in message
    assert message.endswith(f"not {budgets!r}")


def test_studies_that_cannot_work_fail_before_the_evaluation(
    t1: T1Command, tmp_path: Path, collection: Path, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*options: object) -> str:
        return t1("evaluate", collection, "--split", "dev", "--index", built, *options).error()

    monkeypatch.setattr("thought1.evaluation.systems.t1_index.search_in_batches", pytest.fail)
    assert "at budget 0 there are none: let it think" in refused("--no-think", "--faithfulness")
    assert "positions: use a smaller thought budget" in refused("--curve", "0,100000")
    (tmp_path / "other.json").write_text("{}")
    broken = refused("--curve", "0,4", "--results", tmp_path)
    assert "other.json is not the result of an evaluation" in broken


def test_a_result_holds_the_model_that_was_not_named(
    t1: T1Command, collection: Path, model: str, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_MODEL", model)
    arguments = ["evaluate", collection, "--split", "dev", "--no-think", "--json"]
    told = f"no model is named: {model} (set by T1_MODEL)"
    ran = t1(*arguments)
    assert ran.err.splitlines()[0] == told
    report = ran.json()
    assert report["model"] == model
    content = read_content(Path(report["result"]))
    assert content["request"]["model"] == model
    command = content["origin"]["command"]
    assert command[command.index("--model") + 1] == model
    monkeypatch.setenv("T1_MODEL", "/nowhere")
    assert t1("replay", report["result"]).code == 0
    for more in (["--index", built, "--no-think"], ["--mode", "bm25"], ["--system", "bm25"]):
        ran = t1("evaluate", collection, "--split", "dev", "--json", *more)
        assert ran.code == 0 and "no model is named" not in ran.err
        assert read_content(Path(ran.json()["result"]))["request"]["model"] is None
