"""The page of `t1 report` in a real browser: quiet, alone, narrow enough, usable by keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from result_files import ResultFile, bright, kitchen

from thought1.evaluation.report.page import render_page
from thought1.evaluation.report.reading import read_results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    kitchen(folder)
    bright(folder)
    ResultFile(
        system=f"a/{'very-' * 30}long-name",
        kind="st",
        texts={"q001": "word" * 90, "q002": "<script>document.title = 'taken'</script>"},
    ).write(folder)
    path = folder / "report.html"
    path.write_text(render_page(read_results(folder), "Results"), encoding="utf-8")
    return path


class Watched:
    """A page, and what it said and asked for."""

    def __init__(self, page: "Page", report: Path) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        self.address = report.as_uri()
        page.goto(self.address)


@pytest.fixture
def watched(browser: "Browser", report: Path) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield Watched(context.new_page(), report)
    context.close()


def width_beyond(page: "Page") -> int:
    """Pixels by which the page is wider than its window, everything unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def focused(page: "Page") -> str:
    return str(page.evaluate("document.activeElement.textContent"))


def tab_to(page: "Page", words: str, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page).startswith(words):
            return
    raise AssertionError(f"{words!r} is not among the first {most} stops of Tab")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_quiet_alone_and_narrow_enough(
    browser: "Browser", report: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    watched = Watched(context.new_page(), report)
    assert width_beyond(watched.page) <= 0
    assert watched.page.title() == "Results"
    assert watched.said == []
    assert watched.asked == [watched.address]
    paper = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    context.close()


def test_the_skip_link_comes_first(watched: Watched) -> None:
    page = watched.page
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the results"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_tables_sort_by_keyboard(watched: Watched) -> None:
    page = watched.page
    tab_to(page, "nDCG@10")
    heading = page.locator("#overview th", has_text="nDCG@10")
    column = page.locator("#overview tbody tr > :nth-child(4) > :first-child")
    means = [float(text) for text in column.all_inner_texts()]
    assert means != sorted(means, reverse=True)
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column.all_inner_texts()] == sorted(means, reverse=True)
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column.all_inner_texts()] == sorted(means)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") is None
    assert page.locator("#overview th[aria-sort]").inner_text().startswith("Queries")
    assert watched.said == []


def test_details_open_by_keyboard(watched: Watched) -> None:
    page = watched.page
    part = page.locator("#provenance details").first
    assert part.get_attribute("open") is None
    part.locator("summary").focus()
    page.keyboard.press("Enter")
    assert part.get_attribute("open") is not None
    assert part.locator("dl").is_visible()


def test_a_point_leads_to_its_query(watched: Watched) -> None:
    page = watched.page
    link = page.locator("svg a[href*='-query']").last
    card = page.locator(str(link.get_attribute("href")))
    assert not card.locator(".answer").first.is_visible()
    link.click(force=True)
    card.locator(".answer").first.wait_for(state="visible", timeout=5000)
    assert watched.said == []
