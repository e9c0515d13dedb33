"""Does the vector depend on the thought? Own, empty, random, swapped and repeated thoughts.

The model thinks once; the same prompts are then embedded with other thoughts, and each kind of
thought gets its mean cosine to the own vector and its nDCG@10. Forward passes only. It neither
encodes documents nor knows training or files.

Sources: LREM (arXiv 2510.14321) compares own, empty, random and repeated-query thoughts at test
time; github.com/XMUDeepLIT/UME-R1 issue 12 reports vectors that hardly depend on the thought.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from thought1.engines.hf import max_positions
from thought1.evaluation.statistics.protocol import PairedDifference, paired_bootstrap
from thought1.metrics import evaluate_run
from thought1.search.exact import exact_run
from thought1.t1 import T1
from thought1.types import Qrels, Sampling, Thought, Thought1Error, Vectors

MEASURE = "ndcg@10"
DEPTH = 100

SAME_VECTOR = 0.98
"""Mean cosine of own and swapped from which the vector is said to hardly depend on the thought:
what users of UME-R1 saw there, .977 with and without a thought, .98 among thoughts on one query."""

MARGIN = 0.02
"""An advantage in nDCG@10 below which own thoughts count as no better than swapped ones. Ours."""

FEW = 30
"""With fewer questions no interval is taken as proof that the model ignores its thoughts. Ours."""


@dataclass(frozen=True, slots=True)
class JudgedQuestions:
    """What is searched, where, and what should be found."""

    questions: Mapping[str, str]
    """query id -> text."""
    qrels: Qrels
    document_ids: Sequence[str]
    document_vectors: Vectors
    """(N, d), encoded with the weights that are measured."""
    references: Mapping[str, str] | None = None
    """query id -> reference thought, for every question; cut to the model's positions, not to the
    budget."""
    ignore_identical_ids: bool = False
    """Whether a document with the query's own id is left out of its ranking."""

    def __post_init__(self) -> None:
        if len(self.document_ids) != len(self.document_vectors):
            raise ValueError(
                f"{len(self.document_ids)} document ids, {len(self.document_vectors)} vectors"
            )

    def counted(self) -> "JudgedQuestions":
        """Only the questions with a relevant document, as in `statistics.protocol`, in id order.

        Raises:
            Thought1Error: fewer than two remain, or one of them lacks its reference thought.
        """
        judged = {q: self.qrels[q] for q in sorted(self.questions) if q in self.qrels}
        qrels = {q: grades for q, grades in judged.items() if any(g > 0 for g in grades.values())}
        if len(qrels) < 2:
            raise Thought1Error(
                f"{len(qrels)} of {len(self.questions)} questions have a relevant document in the "
                "qrels; faithfulness compares questions and needs two or more"
            )
        missing = [] if self.references is None else sorted(qrels.keys() - self.references.keys())
        if missing:
            raise Thought1Error(
                f"{len(missing)} questions have no reference thought, {missing[0]!r} for one: "
                "give one for each question, or none at all"
            )
        return replace(self, questions={q: self.questions[q] for q in qrels}, qrels=qrels)

    def ndcg(self, vectors_QD: Vectors) -> dict[str, float]:
        """nDCG@10 of each question by exact search; one vector per question, in their order."""
        depth = DEPTH + self.ignore_identical_ids
        run = exact_run(self.questions, vectors_QD, self.document_ids, self.document_vectors, depth)
        if self.ignore_identical_ids:
            run = {q: {d: s for d, s in scores.items() if d != q} for q, scores in run.items()}
        return evaluate_run(run, self.qrels, [MEASURE])[MEASURE]


@dataclass(frozen=True, slots=True)
class ThoughtFigures:
    """What one kind of thought leads to."""

    cosine: float
    """Mean over questions of the cosine to the own vector."""
    per_query: Mapping[str, float]
    """query id -> nDCG@10."""

    @property
    def ndcg(self) -> float:
        """Mean nDCG@10."""
        return float(np.mean(list(self.per_query.values())))


@dataclass(frozen=True)
class Faithfulness:
    """One reading of the gauge; all rows have the same questions."""

    budget: int
    rows: Mapping[str, ThoughtFigures]
    """own, empty, random, swapped, repeated and, where there are any, reference."""
    mean_length: float
    """Tokens of an own thought."""
    p95_length: float
    forced: float
    """Share of own thoughts that the model did not end itself."""
    distinct: int
    """Different own thoughts; where they are few, swapping changes little in any model."""

    @property
    def questions(self) -> int:
        """Number of questions that count."""
        return len(self.rows["own"].per_query)

    @property
    def gap(self) -> float | None:
        """nDCG@10 of the reference thought minus that of the own; None without references."""
        reference = self.rows.get("reference")
        return None if reference is None else reference.ndcg - self.rows["own"].ndcg

    @cached_property
    def advantages(self) -> dict[str, PairedDifference]:
        """nDCG@10 of the own thought minus that of each other kind, paired by question."""
        own = self.rows["own"].per_query
        others = {name: row.per_query for name, row in self.rows.items() if name != "own"}
        return {name: paired_bootstrap(own, per_query) for name, per_query in others.items()}

    @property
    def ignores_thoughts(self) -> bool:
        """True if swapped thoughts are shown to retrieve as well as own ones.

        That is: the model has thought, there are at least `FEW` questions, and the 95% interval
        of own - swapped is neither above 0 nor reaches `MARGIN`. False does not prove the
        opposite: with few or very different questions, an interval around 0 shows nothing, and
        `warning` says so.
        """
        found = self.advantages["swapped"]
        none = found.low <= 0 and found.high < MARGIN
        return self._thinks and self.questions >= FEW and none

    @property
    def warning(self) -> str:
        """One sentence to be shown loudly; "" where all is well or nothing was thought.

        If the 95% interval of own - swapped is not above 0, it says that the model
        ignores its thoughts (`ignores_thoughts`), or else that their use is not shown. Where
        cosine(own, swapped) is above `SAME_VECTOR`, that vectors hardly depend on thoughts.
        """
        found, cosine = self.advantages["swapped"], self.rows["swapped"].cosine
        parts = []
        if self.ignores_thoughts:
            parts.append("the model ignores its thoughts: swapped ones retrieve as well as own")
        elif found.low <= 0:
            parts.append("it is not shown that own thoughts retrieve better than swapped ones")
        if cosine > SAME_VECTOR:
            parts.append("the vectors hardly depend on the thoughts")
        if not parts or not self._thinks:
            return ""
        return (
            f"{'; '.join(parts)} (nDCG@10 own - swapped {_shown(found)}; mean cosine {cosine:.3f}; "
            f"{self.questions} questions, {self.distinct} different thoughts)"
        )

    @property
    def _thinks(self) -> bool:
        return self.budget > 0 and self.mean_length > 0

    def to_json(self) -> dict[str, Any]:
        """Everything, with the value of each question."""
        derived = {
            "gap": self.gap,
            "ignores_thoughts": self.ignores_thoughts,
            "warning": self.warning,
            "advantages": {name: asdict(found) for name, found in self.advantages.items()},
        }
        content = asdict(self) | derived
        for name, row in self.rows.items():
            content["rows"][name][MEASURE] = row.ndcg
        return content

    def table(self) -> list[str]:
        """Lines of plain text; the last one is the warning, if there is any."""
        lines = [f"{'thought':<10}{'cosine':>8}{'nDCG@10':>9}  own - this (95% interval)"]
        for name, row in self.rows.items():
            found = self.advantages.get(name)
            difference = "" if found is None else f"  {_shown(found)}"
            lines.append(f"{name:<10}{row.cosine:>8.3f}{row.ndcg:>9.3f}{difference}")
        lines.append(
            f"{self.questions} questions, {self.distinct} different own thoughts of "
            f"{self.mean_length:.1f} tokens on average (95th percentile {self.p95_length:.0f}, "
            f"budget {self.budget}), {self.forced:.0%} ended by force"
        )
        return [*lines, f"WARNING: {self.warning}"] if self.warning else lines


def measure_faithfulness(
    model: T1,
    judged: JudgedQuestions,
    budget: int,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
) -> Faithfulness:
    """Let the model think once, and embed each question with every kind of thought.

    Args:
        model: is put into evaluation mode.
        judged: questions without a relevant document do not count.
        budget: maximum tokens of an own and of a repeated thought.
        sampling: of the own thoughts; None is the checkpoint's own.
        seed: of the swap and of the random thoughts.

    Raises:
        Thought1Error: fewer than two questions count, or a reference thought is missing.
    """
    judged = judged.counted()
    model.checkpoint.model.eval()  # a trainer leaves it in training mode
    texts = list(judged.questions.values())
    own = model.think(texts, budget=budget, sampling=sampling)
    own_QD: Vectors = np.array([thought.vector for thought in own], np.float32)
    rows = {"own": ThoughtFigures(1.0, judged.ndcg(own_QD))}
    for name, thoughts in _other_thoughts(model, judged, own, budget, seed).items():
        vectors_QD = np.asarray(model.encode_query(texts, thoughts=thoughts))
        cosine = float((vectors_QD * own_QD).sum(axis=1).mean())
        rows[name] = ThoughtFigures(cosine, judged.ndcg(vectors_QD))
    lengths = [len(thought.token_ids) for thought in own]
    return Faithfulness(
        budget,
        rows,
        mean_length=float(np.mean(lengths)),
        p95_length=float(np.percentile(lengths, 95)),
        forced=float(np.mean([thought.forced for thought in own])),
        distinct=len({thought.token_ids for thought in own}),
    )


def derangement(n: int, seed: int) -> list[int]:
    """A random cyclic permutation of 0 .. n-1: no number keeps its place.

    Raises:
        ValueError: n is below 2, where there is none.
    """
    if n < 2:
        raise ValueError(f"{n} numbers have no permutation that moves each of them")
    cycle = np.random.default_rng(seed).permutation(n)
    partners = np.empty(n, dtype=int)
    partners[cycle] = np.roll(cycle, 1)
    return [int(partner) for partner in partners]


def _other_thoughts(
    model: T1, judged: JudgedQuestions, own: Sequence[Thought], budget: int, seed: int
) -> dict[str, list[Thought]]:
    """Kind of thought -> one for each question. Token ids of own thoughts are kept as they are."""
    # A tokenizer's added tokens are markup (roles, tools, endings), never words of a thought.
    markup = {*model.tokenizer.added_tokens_decoder, *model.checkpoint.eos_ids}
    ordinary = sorted(set(model.tokenizer.get_vocab().values()) - markup)
    rng = np.random.default_rng(seed)
    repeated = model.renderer.text(list(judged.questions.values()))
    ids: dict[str, Sequence[Sequence[int]]] = {
        "empty": [()] * len(own),
        "random": [rng.choice(ordinary, len(thought.token_ids)).tolist() for thought in own],
        "swapped": [own[partner].token_ids for partner in derangement(len(own), seed)],
        "repeated": [question[:budget] for question in repeated],
    }
    if judged.references is not None:
        references = [judged.references[query_id] for query_id in judged.questions]
        positions = max_positions(model.checkpoint.model.config)
        limit = positions - model.settings.max_query_tokens - 1
        ids["reference"] = [row[:limit] for row in model.renderer.text(references)]
    return {
        name: [Thought("", tuple(thought), "edited") for thought in thoughts]
        for name, thoughts in ids.items()
    }


def _shown(found: PairedDifference) -> str:
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
