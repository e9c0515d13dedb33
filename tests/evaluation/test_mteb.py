"""T1 in mteb: the same nDCG@10 as our own evaluation, excluded documents stay out."""

import random
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from t1_command import small_checkpoint, write_lines
from tiny import TEXTS

from thought1.data.formats import BeirFolder
from thought1.evaluation.collection import evaluate_collection
from thought1.evaluation.mteb import T1Encoder, T1Search
from thought1.evaluation.statistics.protocol import evaluate
from thought1.index import Index
from thought1.search.blockwise import Allowed, BlockwiseSearch
from thought1.search.options import SearchOptions
from thought1.t1 import T1
from thought1.types import Run, Thought1Error

mteb = pytest.importorskip("mteb", reason='needs pip install "thought1[mteb]"')

WORDS = tuple(dict.fromkeys(" ".join(TEXTS).split()))
ROOT = Path(__file__).resolve().parents[2]
OPEN, EXCLUDING = "LocalRetrieval", "LocalExcludingRetrieval"


def sentence(chance: random.Random, length: int) -> str:
    return " ".join(chance.choices(WORDS, k=length))


def make_collection() -> dict[str, Any]:
    chance = random.Random(5)
    documents = [
        # Some without a title, and one whose text has outer whitespace.
        {"id": f"d{i}", "title": sentence(chance, 2) if i % 3 else "", "text": sentence(chance, 12)}
        for i in range(60)
    ]
    documents[7]["text"] = f"  {documents[7]['text']}\n"
    queries = [{"id": f"q{i}", "text": sentence(chance, 6)} for i in range(10)]
    qrels = {
        query["id"]: {document["id"]: chance.choice([1, 2]) for document in drawn}
        for query in queries
        if (drawn := chance.sample(documents, 6))
    }
    excluded = {query["id"]: {d["id"] for d in chance.sample(documents, 15)} for query in queries}
    return {"documents": documents, "queries": queries, "qrels": qrels, "excluded": excluded}


COLLECTION = make_collection()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return T1.from_pretrained(small_checkpoint(tmp_path_factory.mktemp("model"), seed=3))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, model: T1) -> tuple[BeirFolder, Index]:
    """The same collection as a BEIR folder, and its index."""
    path = tmp_path_factory.mktemp("beir")
    rows = [{"_id": d["id"], "title": d["title"], "text": d["text"]} for d in documents()]
    write_lines(path / "corpus.jsonl", rows)
    queries = [{"_id": q["id"], "text": q["text"]} for q in COLLECTION["queries"]]
    write_lines(path / "queries.jsonl", queries)
    (path / "qrels").mkdir()
    lines = [f"{q}\t{d}\t{g}\n" for q, docs in COLLECTION["qrels"].items() for d, g in docs.items()]
    header = "query-id\tcorpus-id\tscore\n"
    (path / "qrels" / "test.tsv").write_text(header + "".join(lines), encoding="utf-8")
    folder = BeirFolder(path)
    made = Index.create(path / "index", model)
    made.add(folder.corpus())
    return folder, made


def documents() -> list[dict[str, str]]:
    return COLLECTION["documents"]


def local_task(name: str, excluding: bool, prompt: Any = None) -> Any:
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class LocalTask(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name,
            description="Generated words.",
            dataset={"path": "local", "revision": "1"},
            type="Retrieval",
            category="t2t",
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            prompt=prompt,
        )

        def load_data(self, num_proc: int | None = None, **_: Any) -> None:
            every = [document["id"] for document in documents()]
            top_ranked = {
                query: [document for document in every if document not in excluded]
                for query, excluded in COLLECTION["excluded"].items()
            }
            split = {
                "corpus": Dataset.from_list(documents()),
                "queries": Dataset.from_list(COLLECTION["queries"]),
                "relevant_docs": {q: dict(docs) for q, docs in COLLECTION["qrels"].items()},
                "top_ranked": top_ranked if excluding else None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return LocalTask()


def mteb_scores(model: T1Encoder) -> dict[str, float]:
    tasks = [local_task(OPEN, False), local_task(EXCLUDING, True)]
    results = mteb.evaluate(
        model,
        tasks,
        encode_kwargs={"batch_size": 16, "show_progress_bar": False},
        cache=None,
        co2_tracker=False,
    )
    found = {r.task_name: r.scores["test"][0]["ndcg_at_10"] for r in results.task_results}
    assert set(found) == {OPEN, EXCLUDING}
    return found


@pytest.mark.parametrize("budget", [0, 6])
def test_ndcg_is_that_of_our_own_evaluation(
    model: T1, index: tuple[BeirFolder, Index], budget: int
) -> None:
    folder, made = index
    evaluation, run, _ = evaluate_collection(
        folder, "test", made, SearchOptions(100, "dense", budget)
    )
    kept: Run = {
        query: {d: s for d, s in scores.items() if d not in COLLECTION["excluded"][query]}
        for query, scores in run.items()
    }
    ours = {
        OPEN: evaluation.metrics["ndcg@10"],
        EXCLUDING: evaluate(kept, folder.qrels("test")).metrics["ndcg@10"],
    }
    assert 0 < ours[OPEN] < 1
    assert ours[OPEN] != ours[EXCLUDING]
    for kind in (T1Encoder, T1Search):
        theirs = mteb_scores(kind(model, budget))
        assert theirs == pytest.approx(ours, abs=0.5e-5), kind


def test_thinking_changes_what_is_found(model: T1) -> None:
    runs = [search(T1Search(model, budget)) for budget in (0, 6)]
    assert list(runs[0]["q0"]) != list(runs[1]["q0"])


def search(model: T1Search, top_k: int = 60, top_ranked: Any = None, prompt: Any = None) -> Run:
    from datasets import Dataset

    shared: dict[str, Any] = {
        "task_metadata": SimpleNamespace(prompt=prompt),
        "hf_split": "test",
        "hf_subset": "default",
        "encode_kwargs": {},
        "num_proc": None,
    }
    model.index(Dataset.from_list(documents()), **shared)
    queries = Dataset.from_list(COLLECTION["queries"])
    return model.search(queries, top_k=top_k, top_ranked=top_ranked, **shared)


def test_a_window_is_no_border(model: T1, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(T1Search(model, 0))
    monkeypatch.setattr("thought1.evaluation.mteb.WINDOW", 7)
    top_ranked = {query: list(scores)[5:] for query, scores in whole.items()}
    windowed = search(T1Search(model, 0), top_k=10, top_ranked=top_ranked)
    for query, scores in whole.items():
        assert list(windowed[query]) == list(scores)[5:15]
        values = [scores[document] for document in windowed[query]]
        assert list(windowed[query].values()) == pytest.approx(values, abs=1e-6)


def test_top_ranked_is_the_only_choice(model: T1, caplog: pytest.LogCaptureFixture) -> None:
    top_ranked = {"q0": ["d3", "d1"], "q1": []}
    run = search(T1Search(model, 0), top_ranked=top_ranked)
    assert set(run["q0"]) == {"d1", "d3"}
    assert run["q1"] == {} and run["q2"] == {}
    assert "top_ranked lacks query 'q2'" in caplog.text
    with pytest.raises(Thought1Error, match="names document 'd99', which the corpus lacks"):
        search(T1Search(model, 0), top_ranked={"q0": ["d99"]})


def test_allowed_documents_equal_a_full_sort() -> None:
    rng, chance = np.random.default_rng(0), random.Random(1)
    queries_QD = rng.normal(size=(4, 3)).astype(np.float32)
    documents_ND = rng.normal(size=(53, 3)).astype(np.float32)
    ids = [f"d{i}" for i in range(53)]
    top_ranked = {f"q{q}": chance.sample(ids, size) for q, size in enumerate((53, 20, 3, 0))}
    found = BlockwiseSearch(
        list(top_ranked), queries_QD, 5, Allowed([*top_ranked], ids, top_ranked)
    )
    for start in range(0, 53, 11):
        found.add(ids[start : start + 11], documents_ND[start : start + 11])
    scores_QN = queries_QD @ documents_ND.T
    for row, (query, scores) in enumerate(found.run().items()):
        order = sorted(top_ranked[query], key=lambda d: -scores_QN[row, ids.index(d)])
        assert list(scores) == order[:5]


@pytest.mark.parametrize(
    ("prompt", "task_prompts", "query", "document"),
    [
        (None, True, None, None),
        ("Find what explains it: ", True, "Find what explains it:", None),
        ({"query": "Ask.", "document": "Read."}, True, "Ask.", "Read."),
        ({"query": "Ask.", "document": "Read."}, False, None, None),
    ],
)
def test_the_task_gives_the_instruction(
    model: T1, prompt: Any, task_prompts: bool, query: str | None, document: str | None
) -> None:
    encoder = T1Encoder(model, 0, task_prompts=task_prompts)
    # The tiny checkpoint writes its instruction on neither side.
    seen = replace(
        model.settings,
        query=replace(model.settings.query, pattern="{instruction}\n{text}", instruction="own q"),
        document=replace(
            model.settings.document, pattern="{instruction}\n{text}", instruction="own d"
        ),
    )
    kept, model.checkpoint.settings = model.settings, seen
    batch = {"text": ["salt and ice", "rain"]}
    where = {"hf_split": "test", "hf_subset": "default"}
    task: Any = SimpleNamespace(prompt=prompt)
    try:
        got = [
            encoder.encode([batch], task_metadata=task, prompt_type=side, **where)
            for side in ("query", "document", None)
        ]
        asked = model.encode_query(batch["text"], budget=0, instruction=query)
        read = model.encode_document(batch["text"], instruction=document)
    finally:
        model.checkpoint.settings = kept
    np.testing.assert_allclose(got[0], asked, atol=1e-6)
    np.testing.assert_allclose(got[1], read, atol=1e-6)
    np.testing.assert_array_equal(got[2], got[0])
    assert not np.allclose(asked, read)


def test_similarities_are_cosines(model: T1) -> None:
    encoder = T1Encoder(model, 0)
    a, b = model.encode_query(["salt", "rain"], budget=0), model.encode_document(["ice", "rust"])
    np.testing.assert_allclose(np.asarray(encoder.similarity(a, b)), a @ b.T, atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(a, b), np.diag(a @ b.T), atol=1e-6)


def test_results_are_kept_by_what_changes_them(model: T1) -> None:
    one, other = (T1Search(model, budget).mteb_model_meta for budget in (0, 6))
    assert one.name == "thought1/model"
    assert one.revision == other.revision
    assert model.weights_hash.startswith(one.revision.split("-")[0])
    assert one.model_name_with_experiment != other.model_name_with_experiment


def test_it_is_what_mteb_asks_for(model: T1) -> None:
    from mteb.models import EncoderProtocol, SearchProtocol

    assert isinstance(T1Encoder(model), EncoderProtocol)
    assert not isinstance(T1Encoder(model), SearchProtocol)
    assert isinstance(T1Search(model), SearchProtocol)


def test_what_cannot_be_done_is_refused(model: T1) -> None:
    encoder = T1Encoder(model, 0)
    where: Any = {
        "task_metadata": SimpleNamespace(prompt=None), "hf_split": "test", "hf_subset": "default"
    }  # fmt: skip
    with pytest.raises(Thought1Error, match="float32"):
        encoder.encode([{"text": ["a"]}], precision="int8", **where)
    with pytest.raises(Thought1Error, match="normalize"):
        encoder.encode([{"text": ["a"]}], normalize=True, **where)
    with pytest.raises(Thought1Error, match="only image"):
        encoder.encode([{"image": ["a"]}], **where)
    with pytest.raises(Thought1Error, match="index the documents"):
        T1Search(model, 0).search([], top_k=1, encode_kwargs={}, **where)


def test_a_missing_package_is_named(model: T1, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(Thought1Error, match=r'pip install "thought1\[mteb\]"'):
        T1Encoder(model)


def test_instructions_follow_the_query_as_in_mteb(model: T1) -> None:
    from datasets import Dataset

    rows = [{"id": "a", "text": "salt", "instruction": "not rain"}]
    plain = [{"id": "a", "text": "salt not rain"}]
    shared: Any = {
        "task_metadata": SimpleNamespace(prompt=None), "hf_split": "test", "hf_subset": "default",
        "encode_kwargs": {},
    }  # fmt: skip
    finder = T1Search(model, 0)
    finder.index(Dataset.from_list(documents()), **shared)
    with_column = finder.search(Dataset.from_list(rows), top_k=5, **shared)
    assert with_column == finder.search(Dataset.from_list(plain), top_k=5, **shared)
    talk = Dataset.from_list([{"id": "a", "text": ["salt", "rain"]}])
    with pytest.raises(Thought1Error, match="use T1Encoder for conversations"):
        finder.search(talk, top_k=5, **shared)


@pytest.mark.slow
def test_the_page_finds_what_t1_evaluate_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "mteb.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2, "the first one needs the network"
    exec(compile(blocks[1], "docs/mteb.md", "exec"), {"__name__": "page"})
    printed = float(capsys.readouterr().out.splitlines()[-1])
    model = T1.from_pretrained("t1-nano")
    folder = BeirFolder(ROOT / "examples" / "everyday-science")
    made = Index.create(tmp_path / "index", model)
    made.add(folder.corpus())
    evaluation, _, _ = evaluate_collection(folder, "test", made, SearchOptions(100, "dense", 0))
    assert printed == pytest.approx(evaluation.metrics["ndcg@10"], abs=0.5e-5)
