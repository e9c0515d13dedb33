"""The table of contents of a GGUF file: enough to say why a file cannot be read.

It reads no tensor and knows no model. Source of the format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from math import prod
from pathlib import Path

from thought1.types import Thought1Error

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its kind; two kinds have no width of their own."""
_STRING, _ARRAY = 8, 9
_ALIGNMENT, _PARTS = "general.alignment", "split.count"
_NUMBERS = {2: "<H", 4: "<I", 5: "<i", 10: "<Q"}


class _Reader:
    """A place in the bytes of a file; whatever it reads it passes by."""

    def __init__(self, data: mmap.mmap, place: int) -> None:
        self.data = data
        self.place = place

    def numbers(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(form, self.data, self.place)
        self.skip(struct.calcsize(form))
        return found

    def skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self.data):
            raise EOFError

    def text(self) -> str:
        (length,) = self.numbers("<Q")
        start = self.place
        self.skip(length)
        return self.data[start : self.place].decode("utf-8", "replace")

    def value(self, kind: int) -> int:
        """The value, where it is a whole number; else 0."""
        if kind in _NUMBERS:
            return self.numbers(_NUMBERS[kind])[0]
        if kind == _STRING:
            self.text()
        elif kind == _ARRAY:
            inner, count = self.numbers("<IQ")
            if inner in _WIDTHS:
                self.skip(_WIDTHS[inner] * count)
            else:
                for _ in range(count):
                    self.value(inner)
        elif kind in _WIDTHS:
            self.skip(_WIDTHS[kind])
        else:
            raise Thought1Error(f"its header holds a value of the unknown kind {kind}")
        return 0


def check_gguf(label: str, path: Path) -> None:
    """Refuse a file that is no GGUF, not whole, or of a kind that the package gguf does not know.

    Raises:
        Thought1Error: it is; which of these, and what to do.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise Thought1Error(f"{label} is not a GGUF file: its first bytes are not GGUF")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                needed = _end(_Reader(data, len(_MAGIC)))
            except (EOFError, struct.error):
                raise Thought1Error(
                    f"{label} is truncated: it ends in its header, after {len(data)} bytes: "
                    "fetch it again"
                ) from None
            except Thought1Error as error:
                raise Thought1Error(f"{label} cannot be read: {error}") from None
            if needed > len(data):
                raise Thought1Error(
                    f"{label} is truncated: {len(data)} of {needed} bytes exist: download it again"
                )


def _end(reader: _Reader) -> int:
    """How many bytes the file must have at least."""
    from gguf import GGML_QUANT_SIZES

    (version,) = reader.numbers("<I")
    if version not in _VERSIONS:
        raise Thought1Error(
            f"it is GGUF of version {version}, or big-endian: take a little-endian file of version "
            "2 or 3"
        )
    tensors, entries = reader.numbers("<QQ")
    kept = {_ALIGNMENT: 32, _PARTS: 1}
    for _ in range(entries):
        key = reader.text()
        (kind,) = reader.numbers("<I")
        value = reader.value(kind)
        if key in kept:
            kept[key] = value or kept[key]
    if kept[_PARTS] > 1:
        raise Thought1Error(
            f"it is one of {kept[_PARTS]} parts of a model: join them "
            "(llama.cpp's llama-gguf-split merges them), and name the whole"
        )
    sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    end = 0
    for _ in range(tensors):
        name = reader.text()
        (dimensions,) = reader.numbers("<I")
        shape = reader.numbers(f"<{dimensions}Q")
        quantisation, offset = reader.numbers("<IQ")
        if quantisation not in sizes:
            raise Thought1Error(
                f"its tensor {name} has quantisation {quantisation}, which the installed gguf does "
                "not know: upgrade gguf, or take a file of another quantisation"
            )
        block, size = sizes[quantisation]
        end = max(end, offset + prod(shape) // block * size)
    alignment = kept[_ALIGNMENT]
    return -(-reader.place // alignment) * alignment + end
