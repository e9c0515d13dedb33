"""Data on disk: what users may give as a corpus, and the BEIR folder.

Knows neither models nor the index: it gives documents, queries and judgements. Each format is in
a file of its own (jsonl.py, tables.py, text_folder.py, trec.py), which one a file needs in
files.py; what a usable row is, in rows.py.
"""

from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from thought1.data.corpus import Corpus, ValidationReport
from thought1.data.files import FILES, Reader, find_reader
from thought1.data.hashing import hash_content
from thought1.data.rows import DEFAULT_OPTIONS, BadRow, CorpusOptions, show_path, to_row
from thought1.data.text_folder import read_text_folder, scan_texts
from thought1.data.texts import read_queries, read_thoughts
from thought1.data.trec import read_qrels, read_run, write_run
from thought1.types import Qrels, Query, Thought1Error

__all__ = [
    "BadRow",
    "BeirFolder",
    "Corpus",
    "CorpusOptions",
    "ValidationReport",
    "open_corpus",
    "read_qrels",
    "read_queries",
    "read_run",
    "read_thoughts",
    "write_run",
]

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"
"""The files of a BEIR folder, each of which may be packed (.gz)."""

_ACCEPTED = (
    f"a corpus is a {FILES}, a BEIR folder (with a {CORPUS} in it), a folder of such files, all of "
    "one kind, or a folder of texts (.txt, .md, .mdx, .rst, .html)"
)


def open_corpus(path: Path, *, options: CorpusOptions = DEFAULT_OPTIONS) -> Corpus:
    """The corpus at `path`, whose kind is detected from the file name or the folder's content.

    Nothing is read yet: call `validate` before the documents are used. Raises Thought1Error if
    `path` is none of the kinds that are accepted.
    """
    if path.is_dir():
        return _open_folder(path, options)
    if path.is_file() and (reader := find_reader(path)):
        return _of_records(path, reader, options)
    problem = "is of no kind that can be read" if path.exists() else "does not exist"
    raise Thought1Error(f"{show_path(path)} {problem}; {_ACCEPTED}")


def _open_folder(path: Path, options: CorpusOptions) -> Corpus:
    corpus = _plain_or_packed(path, CORPUS)
    if corpus.is_file():
        return open_corpus(corpus, options=options)
    if any(isinstance(entry, Path) for entry in scan_texts(path)):
        return Corpus(path, partial(read_text_folder, path, options), is_text_folder=True)
    if shards := _list_shards(path):
        parts = [open_corpus(shard, options=options) for shard in shards]
        return Corpus(path, lambda: chain.from_iterable(part.source() for part in parts))
    raise Thought1Error(f"{show_path(path)} is a folder without a usable file; {_ACCEPTED}")


def _list_shards(folder: Path) -> list[Path]:
    """The parts of a corpus in `folder`, by name; none if it holds files of several kinds."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    readers = {find_reader(path) for path in files}
    is_torn = (folder / "qrels").is_dir()  # a BEIR folder that lacks its corpus
    return files if len(readers) == 1 and None not in readers and not is_torn else []


def _of_records(path: Path, reader: Reader, options: CorpusOptions) -> Corpus:
    return Corpus(path, lambda: map(to_row, reader(path, options)))


def _plain_or_packed(folder: Path, name: str) -> Path:
    """The file `name` of a folder, or `name`.gz; the former where there is neither."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file() and packed.is_file():
        raise Thought1Error(
            f"{show_path(folder)} holds {name} and {name}.gz, so it is unclear which one "
            "counts: remove one of them"
        )
    return packed if packed.is_file() else plain


@dataclass(frozen=True, slots=True)
class BeirFolder:
    """A collection in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.

    Each of them may be packed instead (.gz); both at once is a Thought1Error.
    """

    path: Path

    def corpus(self, options: CorpusOptions = DEFAULT_OPTIONS) -> Corpus:
        """The documents."""
        return open_corpus(_plain_or_packed(self.path, CORPUS), options=options)

    def queries(self) -> list[Query]:
        """The queries of all splits, in file order."""
        return read_queries(_plain_or_packed(self.path, QUERIES))

    def splits(self) -> list[str]:
        """The names of the splits that have judgements."""
        files = [path.name for path in self.path.glob("qrels/*")]
        names = [name.removesuffix(".gz") for name in files]
        return sorted({name.removesuffix(".tsv") for name in names if name.endswith(".tsv")})

    def qrels(self, split: str) -> Qrels:
        """The judgements of one split; Thought1Error names the splits there are."""
        splits = self.splits()
        if split not in splits:
            known = f"it has: {', '.join(splits)}" if splits else "it has no qrels/SPLIT.tsv at all"
            raise Thought1Error(f"{show_path(self.path)} has no split {split!r}; {known}")
        return read_qrels(_plain_or_packed(self.path, _judgements(split)))

    def hashes(self, split: str) -> dict[str, str]:
        """File -> SHA-256 of its content, under the same names whether it is packed or not."""
        names = (CORPUS, QUERIES, _judgements(split))
        return {name: hash_content(_plain_or_packed(self.path, name)) for name in names}


def _judgements(split: str) -> str:
    return f"qrels/{split}.tsv"
