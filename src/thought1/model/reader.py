"""How a query's vector is read: at `<emb_token>`, anchored by the bare query, or by a companion.

A companion is a sentence-transformers model that encodes the documents. Its own vector of the
query is the anchor, so that a budget of 0 is the companion itself. It reads thoughts as text, or
the language model's vectors after them are projected into its space, or those of documents and
queries stand beside its own. Our own addition to the
paper. Knows vectors and texts, no language model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from thought1.model.packages import reinstall
from thought1.model.place import Place
from thought1.model.sentence_model import SentenceModel
from thought1.model.settings import Settings
from thought1.types import Generation, Snapshot, Thought1Error, Vectors


def projected(
    anchors_NE: Vectors, after_ND: Vectors, weight: float, projection_ED: Vectors
) -> Vectors:
    """normalise(weight x anchor + projection of after), row by row.

    Args:
        anchors_NE: the companion's vectors of the bare queries, L2-normalised.
        after_ND: the language model's vectors after the thoughts, L2-normalised.
    """
    sums_NE = weight * anchors_NE + after_ND @ projection_ED.T
    lengths_N1 = np.linalg.norm(sums_NE, axis=1, keepdims=True)
    return np.asarray(sums_NE / np.maximum(lengths_N1, 1e-12), dtype=np.float32)


def anchored(anchors_ND: Vectors, after_ND: Vectors, weight: float) -> Vectors:
    """normalise(weight x anchor + after), row by row, of rows that are L2-normalised.

    Args:
        anchors_ND: vectors of the bare queries.
        after_ND: vectors after the thoughts.
        weight: 0 leaves the anchor out; 1 is the mean of both.
    """
    if not weight:
        return after_ND
    sums_ND = weight * anchors_ND + after_ND
    lengths_N1 = np.linalg.norm(sums_ND, axis=1, keepdims=True)
    return np.asarray(sums_ND / np.maximum(lengths_N1, 1e-12), dtype=np.float32)


def beside(own_ND: Vectors, theirs_NE: Vectors) -> Vectors:
    """Both vectors of each row in one (..., d + e), of length 1: a cosine is the mean of theirs.

    Args:
        own_ND: the language model's, L2-normalised.
        theirs_NE: the companion's, L2-normalised.
    """
    return np.concatenate([own_ND, theirs_NE], axis=-1) * np.float32(np.sqrt(0.5))


def joined(query: str, thought: str) -> str:
    """What a companion reads of a query that thinks."""
    return f"{query} {thought.strip()}"


class EmbedsQueries(Protocol):
    """What a companion does for queries."""

    def embed_queries(self, texts: Sequence[str], /) -> Vectors:
        """Vectors (n, e), L2-normalised."""


class Remembering:
    """A companion that reads no text twice."""

    def __init__(self, companion: EmbedsQueries) -> None:
        self._companion = companion
        self._known: dict[str, Vectors] = {}

    def embed_queries(self, texts: Sequence[str], /) -> Vectors:
        """Vectors (n, e), L2-normalised."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= zip(new, self._companion.embed_queries(new), strict=True)
        return np.stack([self._known[text] for text in texts])


@dataclass(frozen=True, slots=True)
class Reader:
    """What makes a query's vector of what a language model gives.

    Without a companion and with a weight of 0, vectors stay as they are: the paper's form.
    """

    weight: float = 0.0
    """Of the anchor; see `anchored`."""
    companion: EmbedsQueries | None = None
    projection: Vectors | None = None
    """Where a companion does not read the thoughts itself: the matrix (e, d) that brings the
    language model's vectors into its space."""
    both: bool = False
    """Whether the language model's vectors, anchored by its own, stand beside the companion's."""

    @property
    def halves(self) -> "tuple[Reader, Reader]":
        """What reads each half of the vectors, where they have two: the language model's first."""
        return Reader(self.weight), replace(self, both=False)

    def remembering(self) -> "Reader":
        """The same, for one batch whose thoughts are read several times."""
        if self.companion is None:
            return self
        return replace(self, companion=Remembering(self.companion))

    @property
    def plain(self) -> bool:
        """Whether vectors stay as the language model gives them."""
        return self.companion is None and not self.weight

    def needed(self, snapshots: Sequence[int]) -> Sequence[int]:
        """The snapshots to take of the language model: its own anchor is that of 0 tokens."""
        own = self.companion is None or self.both
        return sorted({0, *snapshots}) if own and self.weight else snapshots

    def vectors(
        self, queries: Sequence[str], texts: Sequence[str], bare_ND: Vectors, own_ND: Vectors
    ) -> Vectors:
        """The query vectors (n, d) after thoughts.

        Args:
            texts: the thoughts; a companion reads "question thought".
            bare_ND: the anchors, which the companion gives, if there is one.
            own_ND: the language model's vectors after the thoughts; unused with a companion.
        """
        if self.companion is None:
            return anchored(bare_ND, own_ND, self.weight)
        thinking = [i for i, text in enumerate(texts) if text.strip()]
        pairs = [joined(queries[i], texts[i]) for i in thinking]
        found_ND = bare_ND.copy()  # without a thought the query is bare
        if thinking:
            read_ND = self.companion.embed_queries(pairs)
            found_ND[thinking] = anchored(bare_ND[thinking], read_ND, self.weight)
        return found_ND

    def projected(self, thinking: Sequence[bool], bare_NE: Vectors, own_ND: Vectors) -> Vectors:
        """The query vectors (n, e) after thoughts, projected into the companion's space.

        Args:
            thinking: of each query, whether its thought has a token; else the query is bare.
            bare_NE: the companion's vectors of the bare queries.
            own_ND: the language model's vectors after the thoughts.
        """
        assert self.projection is not None
        found_NE, chosen = bare_NE.copy(), np.asarray(thinking, bool)
        found_NE[chosen] = projected(bare_NE[chosen], own_ND[chosen], self.weight, self.projection)
        return found_NE

    def read(
        self,
        queries: Sequence[str],
        done: Sequence[Generation],
        snapshots: Sequence[int],
        decode: Callable[[Sequence[int]], str],
    ) -> list[Generation]:
        """A batch of generations with the query vectors in them, snapshots included.

        Args:
            queries: of each generation.
            snapshots: those that the caller requested; `needed` may add one.
            decode: from the ids of a thought to its text.
        """
        if self.plain:
            return list(done)
        if self.both:
            left, right = self.halves
            mine = left.read(queries, done, snapshots, decode)
            others = right.read(queries, mine, snapshots, decode)
            pairs = zip(mine, others, strict=True)
            return [_of_both(own, other, snapshots) for own, other in pairs]
        if self.companion is None:
            return [self._anchored(one, snapshots) for one in done]
        start = perf_counter()
        different = list(dict.fromkeys(queries))
        vectors = dict(zip(different, self.companion.embed_queries(different), strict=True))
        bare_ND = np.stack([vectors[query] for query in queries])
        anchor_seconds = perf_counter() - start

        def read_first(count: int | None, own: list[Vectors]) -> tuple[Vectors, float]:
            began = perf_counter()
            thoughts = [one.token_ids[:count] for one in done]
            if self.projection is not None:
                found = self.projected(list(map(bool, thoughts)), bare_ND, np.stack(own))
            else:
                found = self.vectors(queries, list(map(decode, thoughts)), bare_ND, bare_ND)
            return found, anchor_seconds + perf_counter() - began

        whole_ND, _ = read_first(None, [one.vector for one in done])
        read: list[list[Snapshot]] = [[] for _ in done]
        for place, budget in enumerate(sorted(set(snapshots))):
            found_ND, seconds = bare_ND, anchor_seconds
            if budget:
                found_ND, seconds = read_first(
                    budget, [one.snapshots[place].vector for one in done]
                )
            for row, one in enumerate(done):
                theirs = one.snapshots[place]
                thinking = theirs.seconds if budget else 0.0  # the companion alone needs no prompt
                read[row].append(Snapshot(budget, found_ND[row], thinking + seconds))
        return [
            replace(one, vector=vector, snapshots=tuple(parts))
            for one, vector, parts in zip(done, whole_ND, read, strict=True)
        ]

    def _anchored(self, one: Generation, snapshots: Sequence[int]) -> Generation:
        bare_D = one.snapshots[0].vector

        def fused(vector_D: Vectors) -> Vectors:
            found_1D = anchored(bare_D[None], vector_D[None], self.weight)
            return np.asarray(found_1D[0])

        kept = tuple(
            replace(shot, vector=fused(shot.vector))
            for shot in one.snapshots
            if shot.budget in snapshots
        )
        return replace(one, vector=fused(one.vector), snapshots=kept)


def _of_both(own: Generation, theirs: Generation, snapshots: Sequence[int]) -> Generation:
    """One generation as each half reads it, with both vectors beside each other."""
    wanted = [shot for shot in own.snapshots if shot.budget in snapshots]
    shots = [
        Snapshot(
            shot.budget,
            beside(shot.vector, other.vector),
            # The companion counts the thinking, but no prompt before it.
            other.seconds + (0.0 if shot.budget else shot.seconds),
        )
        for shot, other in zip(wanted, theirs.snapshots, strict=True)
    ]
    return replace(own, vector=beside(own.vector, theirs.vector), snapshots=tuple(shots))


def find_companion(
    settings: Settings, place: Place, *, device: Any = None, trust_remote_code: bool = False
) -> SentenceModel | None:
    """The companion that the settings of a model speak of, if they do.

    Raises:
        Thought1Error: it is not there, or it is another one than that was named.
    """
    named, name = settings.companion, place.name
    if named is None:
        return None
    where = str((place.folder / named.model).resolve()) if named.stored else named.model
    try:
        found = SentenceModel.load(where, device=device, trust_remote_code=trust_remote_code)
    except Thought1Error as error:
        raise Thought1Error(f"{name} needs its companion: {error}") from None
    if found.hash != named.hash:
        raise Thought1Error(
            f"{name} was made with another companion than the one at {where}: "
            f"its weights or settings have changed since{reinstall(named.model)}"
        )
    return found
