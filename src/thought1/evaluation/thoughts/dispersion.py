"""How far do sampled thoughts about one question scatter, and does averaging them help?

The model thinks several times about each question. The mean cosine distance among the vectors is
the question's dispersion; the vectors are then averaged with each other and with the vector of the
bare question (budget 0), and each average is searched with. It neither encodes documents nor knows
training or files.

Sources: averaging the vectors of several generations with that of the query is HyDE's (Gao et al.
2022, arXiv 2212.10496, equation 8), there with generated documents. Spearman 1904 for the rank
correlation, ties at their average rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thought1.evaluation.statistics.protocol import PairedDifference, paired_bootstrap
from thought1.evaluation.thoughts.faithfulness import MEASURE, JudgedQuestions
from thought1.search.vectors import fused
from thought1.t1 import T1
from thought1.types import Sampling, Vectors

NO_THOUGHT = "bare"
"""The row of the questions without a thought, with which the others are compared."""


@dataclass(frozen=True)
class Dispersion:
    """What several sampled thoughts on each question lead to; all rows have the same questions."""

    budget: int
    copies: int
    temperature: float
    distances: Mapping[str, float]
    """query id -> mean cosine distance over the pairs of its sampled vectors, 0 to 2."""
    correlation: float | None
    """Spearman's rank correlation of distance and nDCG@10 of the greedy thought; None if one of
    the two is the same for every question."""
    rows: Mapping[str, Mapping[str, float]]
    """Row -> query id -> nDCG@10. `bare`: budget 0; `own`: the greedy thought; `sampled`: mean over
    the sampled thoughts, each searched with separately; `fused`: normalised mean of their vectors;
    `fused+bare`: of these and the bare vector, each with the same weight; `own+bare`: of the greedy
    and the bare vector."""

    @property
    def distance(self) -> float:
        """Mean of `distances`."""
        return float(np.mean(list(self.distances.values())))

    @property
    def ndcg(self) -> dict[str, float]:
        """Row -> mean nDCG@10."""
        return {name: float(np.mean(list(row.values()))) for name, row in self.rows.items()}

    @cached_property
    def gains(self) -> dict[str, PairedDifference]:
        """nDCG@10 of each other row minus that of `bare`, paired by question."""
        bare = self.rows[NO_THOUGHT]
        others = {name: row for name, row in self.rows.items() if name != NO_THOUGHT}
        return {name: paired_bootstrap(row, bare) for name, row in others.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything, with the value of each question."""
        content = asdict(self)
        content["distance"] = self.distance
        content["rows"] = {
            name: {MEASURE: mean, "per_query": dict(self.rows[name])}
            for name, mean in self.ndcg.items()
        }
        content["gains"] = {name: asdict(found) for name, found in self.gains.items()}
        return content

    def table(self) -> list[str]:
        """Lines of plain text."""
        lines = [f"{'vector':<12}{'nDCG@10':>8}  this - bare (95% interval)"]
        for name, mean in self.ndcg.items():
            found = self.gains.get(name)
            gain = f"  {found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})" if found else ""
            lines.append(f"{name:<12}{mean:>8.3f}{gain}")
        rank = "undefined" if self.correlation is None else f"{self.correlation:+.2f}"
        return [
            *lines,
            f"{len(self.distances)} questions, {self.copies} thoughts each of at most {self.budget}"
            f" tokens at temperature {self.temperature:g}: mean cosine distance "
            f"{self.distance:.3f}, its rank correlation with nDCG@10 of own {rank}",
        ]


def measure_dispersion(
    model: T1,
    judged: JudgedQuestions,
    budget: int,
    *,
    copies: int = 4,
    temperature: float = 1.0,
    seed: int = 0,
) -> Dispersion:
    """Let the model think `copies` times at `temperature`, once greedily, and not at all.

    Args:
        model: is put into evaluation mode; top-p and the rule against repetition are its own.
        judged: questions without a relevant document do not count.
        budget: maximum tokens of a thought.
        seed: of the sampled thoughts.

    Raises:
        ValueError: fewer than two copies, a temperature of 0 or below, or no budget.
        Thought1Error: fewer than two questions count.
    """
    if copies < 2 or temperature <= 0 or budget < 1:
        raise ValueError("dispersion needs copies >= 2, a temperature above 0 and a budget >= 1")
    judged = judged.counted()
    model.checkpoint.model.eval()  # a trainer leaves it in training mode
    texts = list(judged.questions.values())
    sampling = replace(model.settings.thought.sampling, temperature=temperature, seed=seed)
    greedy = replace(sampling, temperature=0.0)
    sampled_QKD = _sampled(model, texts, budget, sampling, copies)
    own_QD = np.asarray(model.encode_query(texts, budget=budget, sampling=greedy))
    no_thought_QD = np.asarray(model.encode_query(texts, budget=0))
    rows = _rows(judged, no_thought_QD, own_QD, sampled_QKD)
    distances_Q = pairwise_distances(sampled_QKD)
    return Dispersion(
        budget,
        copies,
        temperature,
        distances=dict(zip(judged.questions, distances_Q.tolist(), strict=True)),
        correlation=spearman(distances_Q, [rows["own"][q] for q in judged.questions]),
        rows=rows,
    )


def _sampled(
    model: T1, texts: Sequence[str], budget: int, sampling: Sampling, copies: int
) -> Vectors:
    vectors_QKD = np.zeros((len(texts), copies, model.dim), np.float32)
    for indices, done in model.generations(texts, budget, sampling, copies=copies):
        vectors = np.array([one.vector for one in done])
        vectors_QKD[indices] = vectors.reshape(len(indices), copies, -1)
    return vectors_QKD


def _rows(
    judged: JudgedQuestions, no_thought_QD: Vectors, own_QD: Vectors, sampled_QKD: Vectors
) -> dict[str, dict[str, float]]:
    each = [judged.ndcg(sampled_QKD[:, copy]) for copy in range(sampled_QKD.shape[1])]
    with_no_thought_QKD = np.concatenate([sampled_QKD, no_thought_QD[:, None]], axis=1)
    return {
        NO_THOUGHT: judged.ndcg(no_thought_QD),
        "own": judged.ndcg(own_QD),
        "sampled": {q: float(np.mean([row[q] for row in each])) for q in judged.questions},
        "fused": judged.ndcg(fused(sampled_QKD)),
        "fused+bare": judged.ndcg(fused(with_no_thought_QKD)),
        "own+bare": judged.ndcg(fused(np.stack([own_QD, no_thought_QD], axis=1))),
    }


def pairwise_distances(vectors_QKD: Vectors) -> npt.NDArray[np.float64]:
    """Mean of 1 - cosine over the pairs of each row's K unit vectors, to 6 decimals, (Q,)."""
    copies = vectors_QKD.shape[1]
    cosines_QKK = np.einsum("qkd,qjd->qkj", vectors_QKD, vectors_QKD, dtype=np.float64)
    above_KK = np.triu(np.ones((copies, copies), bool), 1)
    # Equal vectors differ by rounding in the engine, which must not decide a rank.
    found_Q: npt.NDArray[np.float64] = (1 - cosines_QKK[:, above_KK].mean(axis=1)).round(6) + 0.0
    return found_Q


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation, -1 to 1; None if `a` or `b` is one value throughout."""
    if min(np.unique(a).size, np.unique(b).size) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)
