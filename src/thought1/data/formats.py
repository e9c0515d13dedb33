"""The front door to data on disk: what users may give as a corpus, and the BEIR folder.

Knows neither models nor the index: it gives documents, queries and judgements. Each format is in
a file of its own (jsonl.py, tables.py, text_folder.py, trec.py); what a usable row is, in rows.py.
"""

from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from thought1.data.corpus import Corpus, ValidationReport
from thought1.data.jsonl import read_jsonl, read_queries, read_thoughts
from thought1.data.rows import DEFAULT_OPTIONS, BadRow, CorpusOptions, show_path
from thought1.data.tables import read_csv, read_parquet
from thought1.data.text_folder import read_text_folder, scan_texts
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

_READERS = {
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
_ACCEPTED = (
    "a corpus is a .jsonl, .jsonl.gz, .csv, .tsv or .parquet file, a BEIR folder (with a "
    "corpus.jsonl in it), a folder of such files, all of one kind, or a folder of texts "
    "(.txt, .md, .mdx, .rst, .html)"
)


def open_corpus(path: Path, *, options: CorpusOptions = DEFAULT_OPTIONS) -> Corpus:
    """The corpus at `path`, whose kind is told by the file name or the folder's content.

    Nothing is read yet: call `validate` before the documents are used. Raises Thought1Error where
    `path` is none of the kinds that are accepted.
    """
    if path.is_dir():
        return _open_folder(path, options)
    if path.is_file():
        for suffix, reader in _READERS.items():
            if path.name.lower().endswith(suffix):
                return Corpus(path, partial(reader, path, options))
    problem = "is of no kind that can be read" if path.exists() else "does not exist"
    raise Thought1Error(f"{show_path(path)} {problem}; {_ACCEPTED}")


def _open_folder(path: Path, options: CorpusOptions) -> Corpus:
    corpus = path / "corpus.jsonl"
    if corpus.is_file():
        return Corpus(corpus, partial(read_jsonl, corpus, options))
    if any(isinstance(entry, Path) for entry in scan_texts(path)):
        return Corpus(path, partial(read_text_folder, path, options), is_text_folder=True)
    if shards := _list_shards(path):
        parts = [open_corpus(shard, options=options) for shard in shards]
        return Corpus(path, lambda: chain.from_iterable(part.source() for part in parts))
    raise Thought1Error(f"{show_path(path)} is a folder without a usable file; {_ACCEPTED}")


def _list_shards(folder: Path) -> list[Path]:
    """The parts of a corpus in `folder`, by name; none where it holds files of several kinds."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    kinds = {next((s for s in _READERS if p.name.lower().endswith(s)), "") for p in files}
    is_torn = (folder / "qrels").is_dir()  # a BEIR folder that lacks its corpus
    return files if len(kinds) == 1 and kinds != {""} and not is_torn else []


@dataclass(frozen=True, slots=True)
class BeirFolder:
    """A collection in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv."""

    path: Path

    def corpus(self, options: CorpusOptions = DEFAULT_OPTIONS) -> Corpus:
        """The documents."""
        return open_corpus(self.path / "corpus.jsonl", options=options)

    def queries(self) -> list[Query]:
        """The queries of all splits, in file order."""
        return read_queries(self.path / "queries.jsonl")

    def splits(self) -> list[str]:
        """The names of the splits that have judgements."""
        return sorted(path.stem for path in self.path.glob("qrels/*.tsv"))

    def qrels(self, split: str) -> Qrels:
        """The judgements of one split; Thought1Error names the splits there are."""
        splits = self.splits()
        if split not in splits:
            known = f"it has: {', '.join(splits)}" if splits else "it has no qrels/SPLIT.tsv at all"
            raise Thought1Error(f"{show_path(self.path)} has no split {split!r}; {known}")
        return read_qrels(self.path / "qrels" / f"{split}.tsv")
