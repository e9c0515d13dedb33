"""Queries followed by thoughts: sampled thoughts on disk, and batches of token ids.

Sampled thoughts are kept by round, one JSON line per thought, which shows what a model thought at
each point of its training. It knows texts, token ids and files, no trainer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from thought1.files.whole import write_whole
from thought1.t1 import T1
from thought1.training.data.batches import Batch, Ids, Mode, Rows
from thought1.training.data.collate import PACKED_TOKENS, Collator, fit, named, packed
from thought1.training.data.sources import TrainingPair, shown_evidence
from thought1.training.data.tokens import Trajectory, render, trajectories
from thought1.training.losses import IGNORE_INDEX
from thought1.types import Thought


class SampledThoughts:
    """Sampled thoughts by round and query id, in a stage's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[int, dict[str, Ids]] = (-1, {})

    def path(self, number: int) -> Path:
        """The file of a round."""
        return self.folder / f"own-thoughts-{number}.jsonl"

    def write(self, number: int, thoughts: Mapping[str, Thought]) -> None:
        """Store a round; the file is written atomically."""
        with write_whole(self.path(number)) as file:
            for query_id, thought in thoughts.items():
                row = {"_id": query_id, "text": thought.text, "ended": thought.finish_reason}
                line = json.dumps({**row, "token_ids": thought.token_ids})
                file.write(f"{line}\n".encode())
        self._read = (-1, {})

    def read(self, number: int) -> Mapping[str, Ids]:
        """Token ids of a round by query id."""
        if self._read[0] != number:
            lines = self.path(number).read_text("utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
            self._read = number, {row["_id"]: row["token_ids"] for row in rows}
        return self._read[1]


@dataclass(frozen=True, slots=True)
class ThoughtRows:
    """Token ids of texts, and what may follow each query."""

    rows: Rows
    prompts: Mapping[str, Ids]
    """Query id -> prompt, without `<emb_token>`."""
    references: Mapping[str, Trajectory]
    """Query id -> reference thought."""
    emb_id: int


class ThoughtCollator(Collator):
    """Makes tensors of queries with what follows them, and of what `Collator` does.

    The query side has one row for each query, at which its vector is read, followed by a row with
    the reference thought of each query whose first row holds none, for the SFT term only.

    Args:
        anchored: for each query with a thought there is one more row, its prompt only.
    """

    def __init__(
        self,
        thoughts: ThoughtRows,
        sampled: SampledThoughts,
        *,
        language: bool,
        anchored: bool = False,
    ) -> None:
        super().__init__(thoughts.rows, language=language)
        self.anchored = anchored
        self.thoughts = thoughts
        self.sampled = sampled

    def __call__(self, items: Sequence[Batch]) -> dict[str, Tensor]:
        """As `Collator`, and of queries without documents the query side."""
        (batch,) = items
        return (
            self.queries(batch) if batch.modes and not batch.positives else super().__call__(items)
        )

    def queries(self, batch: Batch) -> dict[str, Tensor]:
        """`query_ids`, `query_segments` (packed: their lengths differ much), with a language loss
        `query_labels`, with a teacher `query_teacher` (Q, E); and (Q,) `query_indices`, the
        indices of the queries among the vectors, and `bare`, True if a vector is read without
        a thought; with anchors `anchor_indices` (Q,), those of the queries before their thoughts;
        with a frozen companion its `query_given` (Q, E), and `thinking` (Q,), True if there is a
        thought.
        """
        sampled = self.sampled.read(batch.round) if "own" in batch.modes else {}
        rows, labels, sft_only = [], [], []
        for query_id, mode in zip(batch.query_ids, batch.modes, strict=True):
            thought = self._thought(query_id, mode, sampled)
            row = [*self.thoughts.prompts[query_id], *thought, self.thoughts.emb_id]
            rows.append(row)
            labels.append(self._sft(query_id) if mode == "reference" else _blank(len(row)))
            if self.language and mode != "reference" and query_id in self.thoughts.references:
                sft_only.append(query_id)
        rows += [
            [*self.thoughts.prompts[q], *self.thoughts.references[q].ids, self.thoughts.emb_id]
            for q in sft_only
        ]
        labels += [self._sft(query_id) for query_id in sft_only]
        anchors = self._anchors(batch, rows)
        labels += [_blank(len(row)) for row in rows[len(labels) :]]
        groups = fit([len(row) for row in rows], PACKED_TOKENS)
        targets = [[labels[i] for i in group] for group in groups] if self.language else ()
        tensors = named("query", packed([[rows[i] for i in group] for group in groups], targets))
        indices = {row: index for index, row in enumerate(i for group in groups for i in group)}
        tensors["query_indices"] = torch.tensor([indices[q] for q in range(len(batch.query_ids))])
        if self.anchored:
            tensors["anchor_indices"] = torch.tensor([indices[row] for row in anchors])
        if self.rows.given and batch.positives:
            thinking = [
                len(rows[index]) > len(self.thoughts.prompts[query_id]) + 1
                for index, query_id in enumerate(batch.query_ids)
            ]
            tensors["thinking"] = torch.tensor(thinking)
            tensors |= self._given("query", batch.queries)
        tensors["bare"] = torch.tensor([mode == "none" for mode in batch.modes])
        return tensors | self._teacher("query", batch.queries)

    def _anchors(self, batch: Batch, rows: list[list[int]]) -> list[int]:
        """For each query the row that holds its prompt only: its own if there is no thought,
        else an additional one, appended to `rows`."""
        found = []
        for index, query_id in enumerate(batch.query_ids if self.anchored else ()):
            prompt = [*self.thoughts.prompts[query_id], self.thoughts.emb_id]
            if rows[index] == prompt:
                found.append(index)
            else:
                found.append(len(rows))
                rows.append(prompt)
        return found

    def _thought(self, query_id: str, mode: Mode, sampled: Mapping[str, Ids]) -> Ids:
        if mode == "reference":
            return self.thoughts.references[query_id].ids
        return sampled[query_id] if mode == "own" else ()

    def _sft(self, query_id: str) -> list[int]:
        """Labels of a row that ends in the reference thought; a cut one does not teach to end."""
        thought = self.thoughts.references[query_id]
        end = IGNORE_INDEX if thought.cut else self.thoughts.emb_id
        return [*_blank(len(self.thoughts.prompts[query_id])), *thought.ids, end]


def _blank(length: int) -> list[int]:
    return [IGNORE_INDEX] * length


def thought_rows(model: T1, pairs: Sequence[TrainingPair], rows: Rows, most: int) -> ThoughtRows:
    """`rows`, with the prompts of `pairs` and their reference thoughts of at most `most` tokens."""
    _, ended = render(model, "query", [pair.query for pair in pairs], shown_evidence(pairs))
    prompts: dict[str, Ids] = {p.query_id: row[:-1] for p, row in zip(pairs, ended, strict=True)}
    thinking = [pair for pair in pairs if pair.thought]
    thoughts = trajectories(model, [pair.thought for pair in thinking], most)
    references = {p.query_id: thought for p, thought in zip(thinking, thoughts, strict=True)}
    return ThoughtRows(rows, prompts, references, model.checkpoint.emb_id)
