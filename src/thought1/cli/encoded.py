"""Vectors that have been computed elsewhere, on their way into an index: `t1 index --vectors`.

Knows the file and the documents; an index that takes them over is the library's.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from thought1.data.rows import show_path
from thought1.store.writer import first_not_unit
from thought1.types import Document, Thought1Error, Vectors

if TYPE_CHECKING:
    from thought1.cli.models import Encoder
    from thought1.data.corpus import Corpus

SAMPLE = 32
"""Documents that are encoded again."""
COSINE = 0.999
"""Least cosine between a vector that is given and the encoder's own: half precision is above it."""
_WINDOW = 2048


class GivenVectors:
    """The rows of a .npy file, row i for document i of a corpus.

    Raises:
        Thought1Error: no file of numbers, or not one row for each document.
    """

    def __init__(self, path: Path, documents: int) -> None:
        self.name = show_path(path)
        try:
            self._rows_ND = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise Thought1Error(f"{self.name} cannot be read as a .npy file: {error}") from None
        if not isinstance(self._rows_ND, np.ndarray):
            raise Thought1Error(f"{self.name} holds several arrays: give a .npy file with one")
        shape = self._rows_ND.shape
        if len(shape) != 2 or self._rows_ND.dtype.kind != "f":
            raise Thought1Error(
                f"{self.name} holds {self._rows_ND.dtype} of shape {shape}: give decimal numbers, "
                "one row for each document"
            )
        if shape[0] != documents:
            raise Thought1Error(
                f"{self.name} has {shape[0]} rows, but the corpus {documents} documents: row i "
                "belongs to document i"
            )

    def check(self, corpus: "Corpus", encoder: "Encoder") -> None:
        """Encode some documents again, from all over the corpus, and compare.

        Raises:
            Thought1Error: the rows have another dimension or length, or are of another encoder.
        """
        if self._rows_ND.shape[1] != encoder.dim:
            raise Thought1Error(
                f"{self.name} has {self._rows_ND.shape[1]} dimensions, but vectors of the encoder "
                f"{encoder.name} {encoder.dim}: they were made by another encoder"
            )
        self._check_lengths()
        places = np.unique(np.linspace(0, len(self._rows_ND) - 1, SAMPLE).round().astype(int))
        wanted = set(places.tolist())
        some = [document for i, document in enumerate(corpus.documents()) if i in wanted]
        given = np.asarray(self._rows_ND[places], np.float32)
        own = np.asarray(encoder.encode_document([document.full_text for document in some]))
        cosines = (own * given).sum(axis=1)
        worst = int(cosines.argmin())
        if cosines[worst] < COSINE:
            raise Thought1Error(
                f"row {places[worst]} of {self.name} is not what the encoder {encoder.name} gives "
                f"for document {some[worst].id!r} (cosine {cosines[worst]:.4f}): the rows belong "
                "to other documents, or they were made by another encoder"
            )

    def _check_lengths(self) -> None:
        for start in range(0, len(self._rows_ND), _WINDOW):
            block = np.asarray(self._rows_ND[start : start + _WINDOW], np.float32)
            place = first_not_unit(block)
            if place is not None:
                raise Thought1Error(
                    f"row {start + place} of {self.name} has length "
                    f"{np.linalg.norm(block[place]):.4g}, not 1: normalise the vectors"
                )

    def chunks(self, documents: Iterable[Document]) -> Iterator[tuple[Sequence[Document], Vectors]]:
        """The documents, in the order of the rows, with their vectors (n, d)."""
        stream, start = iter(documents), 0
        while some := list(islice(stream, _WINDOW)):
            yield some, np.asarray(self._rows_ND[start : start + len(some)], np.float32)
            start += len(some)
