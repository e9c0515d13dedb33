"""Texts to token ids, as the model will read them later: in memory, or on disk for long streams.

It knows a model's templates and tokenizer, no batches and no losses.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from thought1.files.whole import write_whole
from thought1.model.prompts import Template
from thought1.t1 import T1
from thought1.training.data.batches import Ids, Rows, Text, known_answers
from thought1.training.data.sources import Role, Stream, TrainingData, shown_evidence
from thought1.training.teacher import TeacherVectors
from thought1.types import Thought1Error

WINDOW = 4096
"""Texts that are tokenised at a time."""


def tokenize(
    model: T1,
    data: TrainingData,
    teacher: TeacherVectors,
    streamed: "TokenFile | None" = None,
    max_thought_tokens: int = 64,
) -> Rows:
    """Every text's ids in its role, `<emb_token>` included but where a rationale was cut."""
    queries = [text for role, text in data.texts if role == "query"]
    documents = [text for role, text in data.texts if role == "document"]
    queries += [pair.query for pair in data.pairs]
    documents += [text for pair in data.pairs for text in pair.positives] + data.pool
    ids: dict[Text, Ids] = {}
    heads: dict[Role, int] = {}
    sides: tuple[tuple[Role, list[str]], ...] = (("query", queries), ("document", documents))
    for role, found in sides:
        texts = list(dict.fromkeys(found))
        heads[role], rows = render(model, role, texts)
        ids |= {(role, text): row for text, row in zip(texts, rows, strict=True)}
    starts: dict[str, int] = {}
    asked = [one.query for one in data.rationales]
    _, prompts = render(model, "query", asked, shown_evidence(data.rationales))
    thoughts = trajectories(model, [one.thought for one in data.rationales], max_thought_tokens)
    for number, (prompt, thought) in enumerate(zip(prompts, thoughts, strict=True)):
        key = str(number)
        starts[key] = len(prompt) - 1
        end = [] if thought.cut else [model.checkpoint.emb_id]
        ids["thought", key] = [*prompt[:-1], *thought.ids, *end]
    held = Rows(ids, teacher, known_answers(data.pairs), heads, starts)
    if streamed is None:
        return held
    return replace(held, streamed=streamed, streamed_lengths=streamed.lengths)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A reference thought."""

    ids: tuple[int, ...]
    cut: bool
    """Whether it is longer than what fits."""


def trajectories(model: T1, thoughts: Sequence[str], most: int) -> list[Trajectory]:
    """Token ids of thoughts, at most `most` of each."""
    rows = model.renderer.text(thoughts)
    return [Trajectory(tuple(row[:most]), len(row) > most) for row in rows]


def render(
    model: T1,
    role: Role,
    texts: Sequence[str],
    evidence: Sequence[Sequence[str]] | None = None,
) -> tuple[int, list[list[int]]]:
    """How many ids precede a text, and the ids of texts in their role, `<emb_token>` included."""
    template, limit = _side(model, role)
    rendered = model.renderer.render(template, texts, limit, evidence=evidence)
    end = model.checkpoint.emb_id
    return len(rendered.prefix), [[*rendered.prefix, *row, end] for row in rendered.rows]


def _side(model: T1, role: Role) -> tuple[Template, int]:
    settings = model.settings
    if role == "query":
        return settings.query, settings.max_query_tokens
    # The length of a document includes <emb_token>, that of a query prompt does not.
    return settings.document, settings.max_document_tokens - 1


class TokenFile(Sequence[Ids]):
    """Rows of token ids in two files on disk, read as they are needed."""

    def __init__(self, path: Path) -> None:
        ids = path.with_suffix(".ids")
        self._ids = np.memmap(ids, np.uint32, "r") if ids.stat().st_size else np.zeros(0, np.uint32)
        self._ends = np.fromfile(path.with_suffix(".ends"), np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def lengths(self) -> list[int]:
        """Of all rows, without reading them."""
        lengths: list[int] = np.diff(self._ends, prepend=0).tolist()
        return lengths

    def __getitem__(self, index: int) -> Ids:  # type: ignore[override]
        start = int(self._ends[index - 1]) if index else 0
        row: list[int] = self._ids[start : self._ends[index]].tolist()
        return row


def stream(model: T1, streams: Sequence[Stream], cache: Path) -> TokenFile | None:
    """The ids of all documents of `streams`, tokenised once, in bounded memory, into `cache`.

    Raises:
        Thought1Error: a broken row, or no text at all.
    """
    if not streams:
        return None
    described = [[asdict(s.source), s.file_hash] for s in streams]
    key = hashlib.sha256(json.dumps([model.templates_hash, described]).encode()).hexdigest()[:16]
    path = cache / f"tokens-{key}.ends"
    if not path.is_file():
        _write(model, (text for one in streams for text in one), path)
    rows = TokenFile(path)
    if not rows:
        names = ", ".join(one.source.path for one in streams)
        raise Thought1Error(f"{names}: no text to train on")
    return rows


def _write(model: T1, texts: Iterator[str], path: Path) -> None:
    end = 0
    # The ends appear last: they say that both are complete.
    with write_whole(path) as ends, write_whole(path.with_suffix(".ids")) as ids:
        while window := list(islice(texts, WINDOW)):
            _, rows = render(model, "document", window)
            np.asarray([id for row in rows for id in row], np.uint32).tofile(ids)
            lengths = np.asarray([len(row) for row in rows], np.int64)
            (end + lengths.cumsum()).astype(np.int64).tofile(ends)
            end += int(lengths.sum())
