"""Retrieval quality on held-out questions, while and after training.

It knows a collection in memory and the model's two encoders; exact search, no store.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thought1.data.formats import BeirFolder
from thought1.metrics import evaluate_run
from thought1.search.exact import exact_run
from thought1.t1 import T1
from thought1.training.data.sources import read_ids
from thought1.training.recipe import ValidationConfig
from thought1.types import Qrels, Run, Thought1Error, Vectors

DEPTH = 100
MEASURES = ("ndcg@10", "recall@100")


@dataclass(frozen=True, slots=True)
class Validation:
    """Questions, judgements and corpus."""

    queries: dict[str, str]
    qrels: Qrels
    documents: dict[str, str]

    @classmethod
    def load(cls, config: ValidationConfig, data: Path, recipe_folder: Path) -> "Validation":
        """Read the collection and keep the questions listed in `config.ids`, if any.

        Raises:
            Thought1Error: no question is listed, or a listed one is not judged in the split.
        """
        folder = BeirFolder(data / config.path)
        judged = folder.qrels(config.split)
        wanted = read_ids(recipe_folder / config.ids) if config.ids else judged.keys()
        qrels = {q: grades for q, grades in judged.items() if q in wanted}
        if not wanted:
            raise Thought1Error(f"{config.ids}: no query id is listed")
        if len(qrels) < len(wanted):
            lost = min(set(wanted) - set(qrels))
            raise Thought1Error(f"{config.ids}: {lost} has no judgement in {folder.path}")
        texts = {q.id: q.text for q in folder.queries() if q.id in qrels}
        documents = {d.id: d.full_text for d in folder.corpus()}
        return cls(texts, qrels, documents)

    def encode(self, model: T1) -> Vectors:
        """The documents' vectors (N, d)."""
        model.checkpoint.model.eval()  # a trainer leaves it in training mode
        return np.asarray(model.encode_document(list(self.documents.values())))

    def score(self, model: T1, documents_ND: Vectors | None = None) -> dict[str, float]:
        """Mean of each measure without thinking; the documents are encoded where not given."""
        run = self.run(model, self.encode(model) if documents_ND is None else documents_ND)
        values = evaluate_run(run, self.qrels, MEASURES)
        return {name: float(np.mean(list(found.values()))) for name, found in values.items()}

    def run(self, model: T1, documents_ND: Vectors) -> Run:
        """The best documents of each question, by cosine."""
        queries_QD = np.asarray(model.encode_query(list(self.queries.values()), budget=0))
        return exact_run(self.queries, queries_QD, list(self.documents), documents_ND, DEPTH)
