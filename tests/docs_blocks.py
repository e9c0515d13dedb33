"""The code in README.md and docs/: every block in Python or bash, page by page."""

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^ *```(?P<language>[\w-]*) *$")
_COMMAND = re.compile(r"\s*(\w+=\S+ )?(t1|pip|python3?|curl|make|podman|git|torchrun|sudo) \w")


@dataclass(frozen=True)
class Block:
    """Code between two fences."""

    page: str
    language: str
    code: str

    @property
    def key(self) -> tuple[str, str]:
        """What lists name it by: its page and its first line, without a comment."""
        return self.page, self.code.splitlines()[0].split("  #")[0].rstrip()


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, whatever their language."""
    name = page.relative_to(ROOT).as_posix()
    found: list[Block] = []
    language, lines = None, []
    for line in page.read_text("utf-8").splitlines():
        fence = _FENCE.match(line)
        if fence is None:
            lines.append(line)
        elif language is None:
            language, lines = fence["language"], []
        else:
            found.append(Block(name, language, "\n".join(lines) + "\n"))
            language = None
    assert language is None, f"{name}: a fence is not closed"
    return found


def is_code(block: Block) -> bool:
    """What is to be executed."""
    return block.language in ("python", "bash")


def hides_commands(block: Block) -> bool:
    """Commands that no language declares, so that nothing would execute them."""
    return block.language in ("", "text", "sh", "shell", "console") and any(
        _COMMAND.match(line) for line in block.code.splitlines()
    )


def programs(blocks: list[Block]) -> list[tuple[str, str]]:
    """Language and code, in order; neighbouring blocks in one language share their names."""
    return [
        (language, "\n".join(block.code for block in run))
        for language, run in groupby(blocks, lambda block: block.language)
    ]
