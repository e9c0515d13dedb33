"""Links between the files of the repository, as links between the pages of the site.

A page links to another file by its place in the repository, so that the link works where the code
is read. Knows neither mkdocs nor files: what is there is handed to it.
"""

import posixpath
import re
from collections.abc import Callable, Mapping

_FENCE = re.compile(r"^ *(```|~~~)")
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z]+:|#")


def place_links(
    text: str, file: str, pages: Mapping[str, str], exists: Callable[[str], bool]
) -> str:
    """The Markdown of a page with its links into the repository placed in the site.

    Args:
        file: path of the page in the repository.
        pages: for each file of the repository that is a page, its place in the site.
        exists: whether the repository has a file or folder.

    Raises:
        ValueError: a link leads nowhere.
    """

    def place(match: re.Match[str]) -> str:
        label, target = match.groups()
        if _ELSEWHERE.match(target):
            return match[0]
        path, sign, anchor = target.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        found = next((p for p in (wanted, f"{wanted}/README.md") if p in pages), None)
        if found:
            base = posixpath.dirname(pages[file]) or "."
            return f"[{label}]({posixpath.relpath(pages[found], base)}{sign}{anchor})"
        if not exists(wanted):
            raise ValueError(f"{file}: no file {wanted}, to which [{label}] links")
        return label if wanted in label else f"{label} (`{wanted}`)"

    return "".join(
        part if fenced else _LINK.sub(place, part) for part, fenced in _split_fences(text)
    )


def _split_fences(text: str) -> list[tuple[str, bool]]:
    """The text in parts, each with whether it is code between fences."""
    parts: list[tuple[str, bool]] = []
    collected: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            parts.append(("".join(collected), inside))
            collected, inside = [], not inside
        collected.append(line)
    return [*parts, ("".join(collected), inside)]
