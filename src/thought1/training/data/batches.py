"""Which examples train together: plans of batches.

A batch is one item of the data set, so that lengths can be bucketed and the number of queries,
positives and negatives is ours to choose. Plans depend on the seed only: an interrupted run
meets the same batches again. It knows token ids, no model.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from thought1.training.data.sources import Role, TrainingData, TrainingPair
from thought1.training.recipe import BaseStage, SupervisedStage

BUCKETS = 40
"""Number of batches that are filled together from texts sorted by length."""

Text = tuple[Role, str]
Ids = Sequence[int]
Mode = Literal["none", "reference", "own"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries and documents of one step; `positives[q]` are indices into `documents`."""

    queries: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    positives: tuple[tuple[int, ...], ...] = ()
    query_ids: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    """Keys of rationales; such a batch holds nothing else."""
    modes: tuple[Mode, ...] = ()
    """For each query of stage 2, after which kind of thought its vector is read."""
    round: int = 0
    """Round of the sampled thoughts."""
    streamed: tuple[int, ...] = ()
    """Indices of documents in `Rows.streamed`; such a batch holds nothing else."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Token ids of every text by role, `<emb_token>` included, and the teacher's vectors."""

    ids: Mapping[Text, Ids]
    teacher: Mapping[str, npt.NDArray[np.float16]]
    """Text -> vector (e,); empty without a teacher."""
    answers: Mapping[str, frozenset[str]]
    """Query -> all its positives, whether sampled or not: none of them is a negative."""
    heads: Mapping[Role, int] = field(default_factory=dict)
    """How many ids precede the text in a row, by role."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """How many ids precede a rationale, by key."""
    streamed: Sequence[Ids] = ()
    """Documents of which only the ids are kept, on disk."""
    streamed_lengths: Sequence[int] = ()
    given: Mapping[Text, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Vectors (e,) of queries and documents by a frozen companion, where a projection into its
    space is trained; else empty."""


def sft_batch(query_ids: Sequence[str]) -> Batch:
    """Queries with their reference thoughts, for the next-token loss only."""
    modes: list[Mode] = ["reference"] * len(query_ids)
    return Batch(query_ids=tuple(query_ids), modes=tuple(modes))


class BatchPlan(Dataset[Batch]):
    """The batches of a stage, in order."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def plan_texts(
    texts: Sequence[Text], lengths: Sequence[int], tokens_per_batch: int, seed: int
) -> list[Batch]:
    """One epoch of single texts; a batch holds one role and at most this many padded tokens."""
    rng = random.Random(seed)
    batches = []
    roles: tuple[Role, ...] = ("query", "document", "thought")
    for role in roles:
        order = [i for i, (r, _) in enumerate(texts) if r == role]
        for group in _groups(order, lengths, tokens_per_batch, rng):
            held = tuple(texts[i][1] for i in group)
            batches.append(_single(role, held))
    rng.shuffle(batches)
    return batches


def _single(role: Role, texts: tuple[str, ...]) -> Batch:
    if role == "query":
        return Batch(queries=texts)
    return Batch(documents=texts) if role == "document" else Batch(thoughts=texts)


def plan_streamed(lengths: Sequence[int], tokens_per_batch: int, seed: int) -> list[Batch]:
    """One epoch of the documents whose ids are kept on disk."""
    rng = random.Random(seed)
    groups = _groups(list(range(len(lengths))), lengths, tokens_per_batch, rng)
    batches = [Batch(streamed=tuple(group)) for group in groups]
    rng.shuffle(batches)
    return batches


def _groups(
    order: list[int], lengths: Sequence[int], tokens_per_batch: int, rng: random.Random
) -> Iterator[list[int]]:
    """Places in batches of similar lengths, from a shuffled order."""
    rng.shuffle(order)
    size = max(1, tokens_per_batch // 16) * BUCKETS
    for start in range(0, len(order), size):
        window = sorted(order[start : start + size], key=lambda i: lengths[i])
        yield from _filled(window, lengths, tokens_per_batch)


def _filled(order: Sequence[int], lengths: Sequence[int], tokens: int) -> list[list[int]]:
    groups: list[list[int]] = [[]]
    for i in order:
        # Sorted by length: the newest row is the longest, and decides the width.
        if groups[-1] and (len(groups[-1]) + 1) * lengths[i] > tokens:
            groups.append([])
        groups[-1].append(i)
    return groups if groups[-1] else []


def plan_pairs(
    pairs: Sequence[TrainingPair],
    stage: BaseStage,
    seed: int,
    negatives: Mapping[str, Sequence[str]] | None = None,
) -> list[Batch]:
    """One epoch of pairs: each query once, with up to `positives_per_query` of its positives.

    All batches hold `queries_per_batch` queries (or all there are, if fewer): what is left over at
    the end of the shuffled order waits for another epoch, because a batch with few negatives
    trains little. `negatives` holds candidates of hard negatives by query id.
    """
    if not pairs:
        return []
    rng = random.Random(seed)
    order = list(pairs)
    rng.shuffle(order)
    size = min(stage.queries_per_batch, len(order))
    return [
        pair_batch(order[end - size : end], stage, rng, negatives or {})
        for end in range(size, len(order) + 1, size)
    ]


def pair_batch(
    pairs: Sequence[TrainingPair],
    stage: BaseStage,
    rng: random.Random,
    negatives: Mapping[str, Sequence[str]],
) -> Batch:
    """One batch of these pairs, with positives and hard negatives drawn by `rng`."""
    documents: dict[str, int] = {}
    positives = []
    for pair in pairs:
        count = min(stage.positives_per_query, len(pair.positives))
        chosen = rng.sample(pair.positives, count)
        positives.append(tuple(documents.setdefault(text, len(documents)) for text in chosen))
        candidates = negatives.get(pair.query_id, ())
        for text in rng.sample(candidates, min(stage.negatives_per_query, len(candidates))):
            documents.setdefault(text, len(documents))
    queries, ids = zip(*((pair.query, pair.query_id) for pair in pairs), strict=True)
    return Batch(queries, tuple(documents), tuple(positives), query_ids=ids)


def spread(first: list[Batch], second: list[Batch]) -> list[Batch]:
    """Both lists in their orders, evenly mixed."""
    keyed = [(i / len(part), batch) for part in (first, second) for i, batch in enumerate(part)]
    return [batch for _, batch in sorted(keyed, key=lambda item: item[0])]


def known_answers(pairs: Iterable[TrainingPair]) -> dict[str, frozenset[str]]:
    """Query -> the positives of all pairs with this query, for `Rows.answers`."""
    answers: dict[str, frozenset[str]] = {}
    for pair in pairs:
        answers[pair.query] = answers.get(pair.query, frozenset()) | frozenset(pair.positives)
    return answers


def plan_stage(
    data: TrainingData,
    rows: Rows,
    stage: SupervisedStage,
    seed: int,
    negatives: Mapping[str, Sequence[str]] | None = None,
    processes: int = 1,
) -> BatchPlan:
    """All batches of a stage, epoch by epoch, cut at `max_steps` optimizer steps.

    `processes` train together: each takes every `processes`-th batch.
    """
    singles = data.texts + [("thought", key) for key in rows.starts]
    if not singles and not data.pairs and not rows.streamed_lengths:
        raise ValueError("there is no example to plan batches of")
    lengths = [len(rows.ids[text]) for text in singles]
    batches: list[Batch] = []
    wanted = stage.max_steps * stage.accumulation * processes if stage.max_steps > 0 else None
    epoch = 0
    while epoch < stage.epochs if wanted is None else len(batches) < wanted:
        epoch_seed = seed * 1_000_003 + epoch
        texts = plan_texts(singles, lengths, stage.tokens_per_batch, epoch_seed)
        texts = spread(
            texts, plan_streamed(rows.streamed_lengths, stage.tokens_per_batch, epoch_seed)
        )
        part = spread(texts, plan_pairs(data.pairs, stage, epoch_seed, negatives))
        share = min(1.0, stage.epochs - epoch) if wanted is None else 1.0
        batches += part[: max(1, round(len(part) * share))]
        epoch += 1
    return BatchPlan(batches[:wanted])
