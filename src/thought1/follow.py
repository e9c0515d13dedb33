"""An index follows its corpus: what is gone from the corpus is removed from the index.

Knows which documents of an index came from which text folder, by their metadata; neither how a
folder is read nor what the command line says.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from thought1.data.text_folder import list_sources
from thought1.index import Index
from thought1.types import Document, Thought1Error

FOLDER = "folder"
"""Metadata field of a document from a text folder: the folder, relative to the index."""


class Follower:
    """What an index holds of one corpus, and which of its documents were not seen again.

    Nothing is removed before `remove`: a run that ends early leaves everything in place.

    Args:
        index: where the corpus goes.
        folder: the text folder that it is; None for another corpus, to which every document of
            the index belongs that came from no text folder.

    Raises:
        Thought1Error: the index holds passages of the same files of another folder, which would
            be replaced.
    """

    def __init__(self, index: Index, folder: Path | None) -> None:
        self._index = index
        self._folder = folder
        self._label = _label(folder, index.path) if folder else None
        self._left: dict[str, str] = {}  # id -> source
        self._met: set[str] = set()
        known = set(list_sources(folder)) if folder else set()
        for identifier, metadata in index.metadata().items():
            source = str(metadata.get("source", ""))
            # Rows of other corpora may have fields of these names too.
            is_passage = bool(source) and identifier.rpartition("#")[0] == source
            origin = metadata.get(FOLDER) if is_passage else None
            if origin == self._label and (is_passage or folder is None):
                self._left[identifier] = source
            elif not folder or not is_passage or source not in known:
                continue
            elif origin is None or not (index.path / str(origin)).is_dir():
                self._left[identifier] = source  # of an earlier program, or one of both has moved
            else:
                raise Thought1Error(
                    f"the index holds {source!r} of the folder {index.path / str(origin)}, and "
                    f"that of {folder} would take its ids: create a separate index for each, or "
                    "index a folder that holds both"
                )

    def watch(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The same documents, those of a text folder with its name."""
        for document in documents:
            if self._label is not None:
                named = {**document.metadata, FOLDER: self._label}
                document = replace(document, metadata=named)
                self._met.add(str(named["source"]))
            self._left.pop(document.id, None)
            yield document

    def remove(self, keep_unread: bool = False) -> int:
        """Remove what was not seen again; returns how many documents.

        Args:
            keep_unread: leave the passages of files that are still in the folder, but of which
                nothing could be read this time.
        """
        gone = [
            identifier
            for identifier, source in self._left.items()
            if not (keep_unread and self._is_unread(source))
        ]
        return self._index.delete(gone)

    def _is_unread(self, source: str) -> bool:
        folder = self._folder
        return folder is not None and source not in self._met and (folder / source).exists()


def _label(folder: Path, index: Path) -> str:
    try:
        return Path(os.path.relpath(folder.resolve(), index.resolve())).as_posix()
    except ValueError:  # on another drive
        return folder.resolve().as_posix()
