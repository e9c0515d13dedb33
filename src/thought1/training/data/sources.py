"""Training texts from files: pairs (a query and its positives) and single texts.

It knows file layouts, no tokenizer and no loss. Which queries may be trained on is decided here:
ids outside the allowed prefix are an error, excluded ids are left out.
"""

import random
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from thought1.data.formats import BeirFolder
from thought1.data.hashing import hash_file
from thought1.data.passages import Span, Splitter, split_passages
from thought1.training.data.jsonl_templates import filled, text_lines
from thought1.training.data.trajectories import read_evidence, read_thoughts
from thought1.training.recipe import SourceConfig
from thought1.types import Thought1Error

T = TypeVar("T")

Role = Literal["query", "document", "thought"]
"""What a text is to the model; a thought follows its question."""

MIN_WORDS = 5
"""A passage or column of fewer words carries too little meaning to learn from."""


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A training query with the texts that answer it."""

    query_id: str
    query: str
    positives: tuple[str, ...]
    thought: str = ""
    """The reference thought, if there is one."""
    evidence: tuple[str, ...] = ()
    """Texts that are shown with the query."""


@dataclass(frozen=True, slots=True)
class Rationale:
    """A question and a thought, for the next-token loss only."""

    query: str
    thought: str
    evidence: tuple[str, ...] = ()
    """Texts that are shown with the question."""


def shown_evidence(
    asked: Sequence[TrainingPair | Rationale],
) -> list[tuple[str, ...]] | None:
    """What is shown with each question; None where nothing is shown with any."""
    shown = [one.evidence for one in asked]
    return shown if any(shown) else None


@dataclass(frozen=True, slots=True)
class Stream:
    """Texts of a file that are read one by one, however many there are."""

    source: SourceConfig
    path: Path
    file_hash: str

    def __iter__(self) -> Iterator[str]:
        return islice(_read_texts(self.source, self.path), self.source.limit or None)


@dataclass(slots=True)
class TrainingData:
    """What the sources of a stage hold."""

    pairs: list[TrainingPair] = field(default_factory=list)
    texts: list[tuple[Role, str]] = field(default_factory=list)
    rationales: list[Rationale] = field(default_factory=list)
    pool: list[str] = field(default_factory=list)
    """Documents from which hard negatives are drawn."""
    files: dict[str, str] = field(default_factory=dict)
    """File -> SHA-256, for the checkpoint's lineage."""
    streams: list[Stream] = field(default_factory=list)
    """Sources that are never held in memory."""

    @property
    def single(self) -> bool:
        """Whether there is anything besides pairs."""
        return bool(self.texts or self.rationales or self.streams)

    def leave_out(self, held: Callable[[str], bool]) -> None:
        """Drop the questions of which `held` is true, with their thoughts and judgements."""
        self.pairs = [pair for pair in self.pairs if not held(pair.query)]
        self.rationales = [found for found in self.rationales if not held(found.query)]
        self.texts = [text for text in self.texts if text[0] != "query" or not held(text[1])]

    def split_pairs(self) -> None:
        """Turn pairs into single texts, for a stage without a contrastive term.

        If there are thoughts, only questions and thoughts are learnt.
        """
        if any(pair.thought for pair in self.pairs):
            thinking = [pair for pair in self.pairs if pair.thought]
            self.rationales += [Rationale(p.query, p.thought, p.evidence) for p in thinking]
            self.pairs, self.pool = [], []
            return
        self.texts += [("query", pair.query) for pair in self.pairs]
        self.texts += [("document", text) for text in self.pool]
        self.texts += [("document", text) for pair in self.pairs for text in pair.positives]
        self.texts = list(dict.fromkeys(self.texts))
        self.pairs, self.pool = [], []


def read_sources(
    sources: tuple[SourceConfig, ...], data: Path, recipe_folder: Path, seed: int
) -> TrainingData:
    """Read every source.

    Raises:
        Thought1Error: a missing file or a broken row, with file and line; a training query
            whose id is not allowed.
    """
    found = TrainingData()
    for source in sources:
        path = data / source.path
        if not path.exists():
            raise Thought1Error(
                f"{path} does not exist: set the recipe's `data` (data=FOLDER) to the folder "
                "that holds the training files"
            )
        if source.kind == "beir":
            _read_beir(source, data, recipe_folder, found, seed)
        elif source.kind in ("columns", "rationales"):
            pairs = _limited(list(_read_columns(source, path)), source.limit, seed)
            if source.kind == "columns":
                found.pairs += pairs
            else:
                found.rationales += [Rationale(pair.query, pair.positives[0]) for pair in pairs]
            found.files[source.path] = hash_file(path)
        elif source.stream:
            found.files[source.path] = hash_file(path)
            found.streams.append(Stream(source, path, found.files[source.path]))
        else:
            texts = _limited(list(_read_texts(source, path)), source.limit, seed)
            found.texts += [("document", text) for text in texts]
            found.files[source.path] = hash_file(path)
    return found


def read_ids(path: Path) -> frozenset[str]:
    """Query ids, one a line; a line that begins with `#` is a comment.

    Raises:
        Thought1Error: no such file.
    """
    if not path.is_file():
        raise Thought1Error(f"{path}: no such file of query ids")
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _read_beir(
    source: SourceConfig, data: Path, recipe_folder: Path, found: TrainingData, seed: int
) -> None:
    path = data / source.path
    folder = BeirFolder(path)
    queries = {query.id: query.text for query in folder.queries()}
    thoughts = read_thoughts(source, data, queries)
    evidence = read_evidence(data / source.evidence) if source.evidence else {}
    for name, known in ((source.thoughts, thoughts), (source.evidence, evidence)):
        if name and not queries.keys() & known.keys():
            raise Thought1Error(f"{data / name}: none of its ids is a query of {path}")
    # Of an empty document (some collections have a few) nothing can be learned.
    texts = {d.id: d.full_text.strip() and d.full_text for d in folder.corpus()}
    excluded = read_ids(recipe_folder / source.exclude) if source.exclude else frozenset()
    pairs = []
    for query_id, grades in folder.qrels(source.split).items():
        if not query_id.startswith(source.id_prefix):
            raise Thought1Error(
                f"{path}: training query {query_id} does not begin with {source.id_prefix!r}"
            )
        missing = [i for i in grades if i not in texts]
        if query_id not in queries or missing:
            what = f"document {missing[0]}" if missing else f"query {query_id}"
            raise Thought1Error(f"{path}/qrels/{source.split}.tsv: {what} does not exist")
        positives = tuple(texts[i] for i, grade in grades.items() if grade > 0 and texts[i])
        if query_id not in excluded and positives:
            extra = thoughts.get(query_id, ""), evidence.get(query_id, ())
            pairs.append(TrainingPair(query_id, queries[query_id], positives, *extra))
    found.pairs += _limited(pairs, source.limit, seed)
    found.pool += filter(None, texts.values())
    for name, digest in folder.hashes(source.split).items():
        found.files[f"{source.path}/{name}"] = digest
    for name in (source.thoughts, source.evidence):
        if name:
            found.files[name] = hash_file(data / name)


def _read_columns(source: SourceConfig, path: Path) -> Iterator[TrainingPair]:
    for line in text_lines(path):
        cells = line.text.rstrip("\r\n").split("\t")
        if len(cells) <= max(source.query, source.document):
            raise Thought1Error(
                f"{line.location}: {len(cells)} columns, but columns {source.query} and "
                f"{source.document} (from 0) are needed"
            )
        query = cells[source.query]
        if source.cut:
            query = query.partition(source.cut)[0]
        query, document = _plain(query), _plain(cells[source.document])
        if len(query.split()) >= MIN_WORDS and len(document.split()) >= MIN_WORDS:
            yield TrainingPair(line.location, query, (document,))


def _read_texts(source: SourceConfig, path: Path) -> Iterator[str]:
    for _, _, text in filled(path, source.template):
        if source.passage_words:
            yield from _passages(text, source.passage_words)
        elif text.strip():
            yield _plain(text)


def _plain(text: str) -> str:
    """One line: real and written line breaks become spaces."""
    return " ".join(text.replace("\\n", " ").split())


def _passages(text: str, words: int) -> Iterator[str]:
    """Passages of at most `words` words, within paragraphs, as `split_passages` cuts them.

    Each paragraph has a limit of its own, half of `words` or more, because documents differ
    in length. Lines of markup (front matter, attributes) are left out.
    """
    for paragraph in re.split(r"\n\s*\n", text):
        if "class=" in paragraph or "---" in paragraph:
            continue
        plain = _plain(paragraph)
        # Stable: the same text gives the same passages anywhere.
        share = 0.5 + 0.5 * (zlib.crc32(plain.encode()) % 100) / 100
        splitter = Splitter(max(MIN_WORDS, round(words * share)), units=_word_spans)
        for passage in split_passages(plain, splitter):
            held = plain[passage.start : passage.end]
            if held.count(" ") + 1 >= MIN_WORDS:
                yield held


def _word_spans(text: str) -> list[Span]:
    return [word.span() for word in re.finditer(r"\S+", text)]


def _limited(items: list[T], limit: int, seed: int) -> list[T]:
    if not limit or len(items) <= limit:
        return items
    return random.Random(seed).sample(items, limit)
