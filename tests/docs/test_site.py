"""The site: whole, from this code, and without anything from elsewhere."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import thought1

ROOT = Path(__file__).parents[2]
LOADS = {"src", "srcset", "poster", "data", "action", "formaction", "background"}


class Loaded(HTMLParser):
    """What a browser would load for a page, and what a strict policy would not let run."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.ids: set[str] = set()
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.addresses += [value for name, value in given.items() if name in LOADS]
        if tag in ("link", "use", "image"):
            self.addresses.append(given.get("href", ""))
        script = tag == "script" and "src" not in given and given.get("type") != "application/json"
        if script or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.ids.add(given.get("id", ""))


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline(built_site: Path) -> None:
    pages = sorted(built_site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        found = Loaded(page.read_text("utf-8"))
        away = [a for a in found.addresses if re.match(r"([a-z]+:)?//", a)]
        assert (away, found.inline) == ([], []), page
    for sheet in built_site.rglob("*.css"):
        text = sheet.read_text("utf-8")
        assert not re.search(r"(url\(|@import)\s*[\"']?\s*([a-z]+:)?//", text), sheet


def test_every_page_of_docs_is_in_the_navigation(built_site: Path) -> None:
    home = (built_site / "index.html").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        place = "." if name == "index" else f"{name.removesuffix('README')}/".replace("//", "/")
        assert f'href="{place}"' in home, name


def test_headings_are_where_the_search_page_links_to(built_site: Path) -> None:
    texts = built_site.parent / "build" / "docs-text"
    headings = json.loads((built_site / "assets" / "headings.json").read_text("utf-8"))
    assert headings.keys() == {p.relative_to(texts).as_posix() for p in texts.rglob("*.html")}
    for source, found in headings.items():
        ids = Loaded((built_site / source).read_text("utf-8")).ids
        assert {anchor for _, anchor in found} <= ids
        assert [start for start, _ in found] == sorted(start for start, _ in found)
        assert "¶" not in (texts / source).read_text("utf-8")


def test_the_references_have_every_public_name(built_site: Path) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    names = re.findall(r"^::: thought1\.(\w+)$", page, re.MULTILINE)
    assert sorted(names) == sorted(set(thought1.__all__) - {"__version__"})
    ids = Loaded((built_site / "reference" / "python" / "index.html").read_text("utf-8")).ids
    assert {f"thought1.{name}" for name in names} <= ids
    assert "thought1.Index.search" in ids
    surface = json.loads((ROOT / "tests" / "golden" / "surface.json").read_text("utf-8"))
    commands = set(surface["command line"]) - {"t1"}
    ids = Loaded((built_site / "reference" / "command-line" / "index.html").read_text("utf-8")).ids
    assert {name.replace(" ", "-") for name in commands} <= ids


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("[a](serving.md#page)", "[a](serving.md#page)"),
        ("[log](../benchmarks/LOG.md)", "[log](benchmarks/LOG.md)"),
        ("[docs/metrics](metrics)", "[docs/metrics](metrics/README.md)"),
        ("[recipe](../recipes/nano-cpu.toml)", "recipe (`recipes/nano-cpu.toml`)"),
        ("[x](https://example.org) [y](#here)", "[x](https://example.org) [y](#here)"),
        ("```\n[a](none.md)\n```\n", "```\n[a](none.md)\n```\n"),
    ],
)
def test_links_into_the_repository_are_placed(
    text: str, placed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_site"))
    from links import place_links

    pages = {
        "docs/index.md": "index.md",
        "docs/serving.md": "serving.md",
        "docs/metrics/README.md": "metrics/README.md",
        "benchmarks/LOG.md": "benchmarks/LOG.md",
    }
    known = {"recipes/nano-cpu.toml"}.__contains__
    assert place_links(text, "docs/index.md", pages, known) == placed
    with pytest.raises(ValueError, match="no file docs/none"):
        place_links("[a](none)", "docs/index.md", pages, known)
    sys.modules.pop("links")
