"""Books as JSON lines: OpenStax's modules without their mark-up, classic books as they are.

Originals: Markdown files, in the order of the catalogue.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from thought1.data.public.files import write_json_lines

# What kramdown and HTML add to a module. The rest of an image title with a bracket remains, a
# comment its end; so it was when the first models were trained, and so it stays.
_REMOVED = (
    (re.compile(r"!\[[^\]]*\]\([^)]*\)"), ""),
    (re.compile(r"\{:[^}]*\}"), ""),
    (re.compile(r"<[^>]+>"), " "),
    (re.compile(r"[ \t]+"), " "),
)
_OWNER = "philschatz"


def convert_openstax(originals: Path, target: Path, names: Sequence[str]) -> None:
    """`names`: BOOK/MODULE.md; they become rows of repo, path and text."""

    def row(name: str) -> dict[str, str]:
        book, _, module = name.partition("/")
        text = _read(originals / name)
        for pattern, replacement in _REMOVED:
            text = pattern.sub(replacement, text)
        return {"repo": f"{_OWNER}+{book}", "path": f"contents/{module}", "text": text}

    write_json_lines(target / "modules.jsonl.gz", map(row, names))


def convert_books(originals: Path, target: Path, names: Sequence[str]) -> None:
    """`names`: AUTHOR/TITLE.md; they become rows of path and text."""
    rows = ({"path": name, "text": _read(originals / name)} for name in names)
    write_json_lines(target / "classics.jsonl.gz", rows, ensure_ascii=False)


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")  # line ends stay as they are
