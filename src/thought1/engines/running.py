"""Thoughts that are written together: rows join a running batch and leave it between two steps.

The one loop of generation, for a batch that stays as it is and for a server's. It knows batches,
samplers and clocks; the forward passes are those of an engine.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from thought1.engines.decoding import Sampler, ThoughtBatch
from thought1.engines.padding import Ids
from thought1.engines.preallocated import preallocate
from thought1.engines.snapshots import SnapshotReader
from thought1.types import Generation, Sampling, Snapshot, Step, Vectors


def normalized(hidden_BD: Tensor) -> Vectors:
    """L2-normalised float32 numpy rows of shape (n, d)."""
    unit = torch.nn.functional.normalize(hidden_BD.float(), dim=-1)
    vectors: Vectors = unit.cpu().numpy()
    return vectors


class Forwards(Protocol):
    """What a running batch needs of an engine."""

    emb_id: int
    eos_ids: frozenset[int]
    joinable: bool
    """Whether the rows of two caches can be joined: every layer keeps every column, and
    positions are given."""

    def check_length(self, length: int) -> None:
        """Raises Thought1Error if a sequence of this many tokens does not fit."""

    def thinking(self) -> AbstractContextManager[None]:
        """Inside, products are those of thoughts."""

    def prefill(self, prefix: Ids, rows: Sequence[Ids]) -> ThoughtBatch:
        """Everything but each prompt's last token, which the first decode step reads."""

    def decode_step(self, batch: ThoughtBatch) -> tuple[Tensor, Tensor]:
        """Hidden states (B, D) and logits (B, V) after one more token of each row."""

    def vectors_aside(self, batch: ThoughtBatch, places: Sequence[int]) -> Vectors:
        """Vectors (n, d) of some rows if each read `<emb_token>` next; the batch stays."""


@dataclass(frozen=True, slots=True)
class _Joined:
    """Rows that have joined together, numbered from `first` on."""

    first: int
    sampler: Sampler
    reader: SnapshotReader


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of a batch that have joined together; they are contiguous."""

    joined: _Joined
    batch: ThoughtBatch
    places: range

    @property
    def row_ids(self) -> list[int]:
        return self.batch.row_ids[self.places.start : self.places.stop]

    @property
    def size(self) -> int:
        return len(self.places)

    @property
    def own(self) -> list[int]:
        """The rows as their sampler numbers them."""
        return [row - self.joined.first for row in self.row_ids]

    def of(self, tensor: Tensor) -> Tensor:
        return tensor[self.places.start : self.places.stop]

    def reads(self, token: int) -> list[int]:
        found: list[int] = (self.of(self.batch.tokens_B) == token).nonzero()[:, 0].tolist()
        return found


class JoinableBatch:
    """Rows that are still thinking; the `RunningBatch` of `thought1.types`."""

    def __init__(self, model: Forwards) -> None:
        self._model = model
        self._batch: ThoughtBatch | None = None
        self._joined: dict[int, _Joined] = {}
        self._rows = 0

    @property
    def size(self) -> int:
        """How many rows are still thinking."""
        return self._batch.size if self._batch else 0

    @property
    def open(self) -> bool:
        """Whether rows may join now."""
        return not self.size or self._model.joinable

    @torch.inference_mode()
    def join(
        self,
        prefix: Ids,
        rows: Sequence[Ids],
        budgets: Sequence[int],
        sampling: Sampling,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> range:
        """Read the prompts of more rows, which think from the next step on.

        Returns:
            Their numbers, which no row before has had.
        """
        if not self.open:
            raise ValueError("rows cannot join a running batch of this model")
        longest = max((len(r) + n for r, n in zip(rows, budgets, strict=True)), default=-1)
        self._model.check_length(len(prefix) + longest + 1)
        prompts = [tuple(prefix) + tuple(row) for row in rows]
        ends = self._model.emb_id, self._model.eos_ids
        sampler = Sampler(prompts, budgets, sampling, *ends, copies)
        numbers = range(self._rows, self._rows + len(rows) * copies)
        if not rows:
            return numbers
        joined = _Joined(self._rows, sampler, SnapshotReader(snapshots, self._model.emb_id))
        with self._model.thinking():
            batch = self._model.prefill(prefix, rows)
        batch.repeat(copies)
        batch.row_ids = list(numbers)
        spare = max(budgets) + 1
        if self._batch is None:
            preallocate(batch.cache, spare)
            self._batch = batch
        else:
            self._batch.join(batch, spare)
        self._joined.update(dict.fromkeys(numbers, joined))
        self._rows = numbers.stop
        return numbers

    def leave(self, rows: Sequence[int]) -> None:
        """End some thoughts before their time; rows that are no longer there are none to end."""
        gone = set(rows)
        for row in gone:
            self._joined.pop(row, None)
        if self._batch is not None and not gone.isdisjoint(self._batch.row_ids):
            row_ids = self._batch.row_ids
            self._batch.select([i for i, row in enumerate(row_ids) if row not in gone])
        self._forget_the_empty()

    @torch.inference_mode()
    def step(self) -> Step:
        """One token more of each row; the rows that have read their `<emb_token>` leave."""
        batch = self._batch
        if batch is None:
            raise ValueError("a step needs a row that thinks")
        readers = {id(joined): joined.reader for joined in self._joined.values()}
        finished: dict[int, Generation] = {}
        tokens: dict[int, int] = {}
        read: dict[int, Snapshot] = {}
        with self._model.thinking():
            hidden_BD, logits_BV = self._model.decode_step(batch)
            if embedded := batch.reads(self._model.emb_id):
                finished = self._finished(batch, embedded, normalized(hidden_BD[embedded]))
                logits_BV = batch.drop(embedded, logits_BV)
            if batch.size:
                parts = list(self._parts(batch))
                tokens = self._feed(batch, parts, logits_BV)
                for part in parts:
                    read |= part.joined.reader.read(part, self._aside)
        self._forget_the_empty()
        return Step(tokens, read, finished, max(each.seconds for each in readers.values()))

    def _feed(
        self, batch: ThoughtBatch, parts: Sequence[_Part], logits_BV: Tensor
    ) -> dict[int, int]:
        """Row -> the token that its thought gets."""
        chosen = [p.joined.sampler.next_tokens(p.own, p.of(logits_BV)) for p in parts]
        tokens_B = torch.cat(chosen)
        batch.feed(tokens_B)
        pairs = zip(batch.row_ids, tokens_B.tolist(), strict=True)
        return {row: token for row, token in pairs if token != self._model.emb_id}

    def _aside(self, part: _Part) -> Vectors:
        return self._model.vectors_aside(part.batch, part.places)

    def _parts(self, batch: ThoughtBatch) -> Iterator[_Part]:
        start = 0
        for place, row in enumerate(batch.row_ids):
            following = batch.row_ids[place + 1 : place + 2]
            joined = self._joined[row]
            if not following or self._joined[following[0]] is not joined:
                yield _Part(joined, batch, range(start, place + 1))
                start = place + 1

    def _finished(
        self, batch: ThoughtBatch, places: Sequence[int], vectors: Vectors
    ) -> dict[int, Generation]:
        found: dict[int, Generation] = {}
        for place, vector in zip(places, vectors, strict=True):
            row = batch.row_ids[place]
            joined = self._joined.pop(row)
            own = row - joined.first
            found[row] = joined.sampler.finished([own], vector[None])[own]
        return found

    def _forget_the_empty(self) -> None:
        """The cache of a batch without rows is freed at once."""
        if self._batch is not None and not self._batch.size:
            self._batch = None
