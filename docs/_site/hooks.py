"""What mkdocs does beyond its plugins: pages from elsewhere, links, scripts, and the texts for T1.

- README.md, CONTRIBUTING.md and others of the repository are pages too; the commands of `t1` become
  one that is written from the program itself.
- Scripts inside pages move into files, so that a Content-Security-Policy may forbid them.
- The text of each page goes to build/docs-text, which `make docs-index` indexes, and where its
  headings stand goes to assets/headings.json, by which the search page links to them.
"""

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from thought1.data.html_text import extract_html

sys.path.insert(0, str(Path(__file__).parent))

from command_line import write_commands
from links import place_links

ROOT = Path(__file__).parents[2]
BORROWED = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks/README.md",
    "benchmarks/LOG.md": "benchmarks/LOG.md",
    "models/t1-mini-companion/README.md": "cards/t1-mini-companion.md",
    "models/t1-mini-tuned/README.md": "cards/t1-mini-tuned.md",
    "models/t1-mini/README.md": "cards/t1-mini.md",
    "models/t1-mini-both/README.md": "cards/t1-mini-both.md",
    "models/t1-nano/README.md": "cards/t1-nano.md",
}
"""Pages that do not lie below docs/: file of the repository -> page of the site."""
COMMANDS = "reference/command-line.md"
HISTORY = ("changes.md", "benchmarks/LOG.md")
"""Pages that are not searched: they tell what was, in the words of what is."""
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ANCHORED = re.compile(r"<h[1-6][^>]*>")
_PERMALINK = re.compile(r'<a [^>]*class="headerlink".*?</a>')


class Site:
    """What one build collects."""

    def __init__(self) -> None:
        self.scripts: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.headings: dict[str, list[list[Any]]] = {}


made = Site()


def on_pre_build(config: MkDocsConfig) -> None:
    """Begin anew."""
    global made
    made = Site()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie below docs/."""
    for source, page in BORROWED.items():
        text = _without_front_matter((ROOT / source).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, COMMANDS, content=write_commands()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Place the links."""
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files.documentation_pages()}
    for source, target in BORROWED.items():
        del pages[f"docs/{target}"]
        pages[source] = target
    places = {target: source for source, target in pages.items()}
    place = places[page.file.src_uri]
    try:
        return place_links(markdown, place, pages, lambda name: (ROOT / name).exists())
    except ValueError as error:
        raise PluginError(str(error)) from None


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Keep the text for T1, and where its headings stand."""
    if page.file.src_uri in HISTORY:
        return
    text = _PERMALINK.sub("", html)
    source = f"{page.url}index.html"
    anchors = [re.search(r'\bid="([^"]+)"', tag) for tag in _ANCHORED.findall(text)]
    headings = extract_html(text).headings
    if len(headings) != len(anchors):
        raise PluginError(f"{page.file.src_uri}: a heading without a text or without an anchor")
    made.texts[source] = text
    made.headings[source] = [
        [heading.start, anchor[1] if anchor else ""]
        for heading, anchor in zip(headings, anchors, strict=True)
    ]


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Move scripts into files."""

    def move(match: re.Match[str]) -> str:
        name = f"inline-{hashlib.sha256(match[1].encode()).hexdigest()[:16]}.js"
        made.scripts[name] = match[1]
        return f'<script src="{root}assets/{name}"></script>'

    root = "../" * page.url.count("/")
    return _SCRIPT.sub(move, output)


def on_post_build(config: MkDocsConfig) -> None:
    """Write what was collected; a missing page is the server's to report."""
    (Path(config.site_dir) / "404.html").unlink()
    assets = Path(config.site_dir) / "assets"
    for name, script in made.scripts.items():
        (assets / name).write_text(script, encoding="utf-8")
    (assets / "headings.json").write_text(json.dumps(made.headings), encoding="utf-8")
    texts = Path(config.site_dir).parent / "build" / "docs-text"
    shutil.rmtree(texts, ignore_errors=True)
    for source, html in made.texts.items():
        file = texts / source
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, encoding="utf-8")


def _without_front_matter(text: str) -> str:
    """A model card begins with YAML for the hub."""
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
