"""`t1 serve --site`: its files and nothing else, and the search page in a real browser."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from live_server import listening
from t1_command import small_checkpoint

from thought1.cli import main
from thought1.index import Index
from thought1.serving.admission import Admission
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.serving.site import Site
from thought1.serving.tokens import BearerTokenFile, add_token
from thought1.t1 import T1

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def serve(built_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers over an index of three pages; they end with the module."""
    made = tmp_path_factory.mktemp("served")
    for page in ("serving", "search", "threat-model"):
        shutil.copytree(built_site.parent / "build" / "docs-text" / page, made / "text" / page)
    checkpoint = small_checkpoint(made / "small", seed=3)
    command = ["index", made / "text", "-o", made / "docs.index", "--model", checkpoint]
    assert main([str(part) for part in command]) == 0
    with ExitStack() as stack:

        def start(site: Path | None, tokens: Path | None = None) -> str:
            loaded, metrics = T1.from_pretrained(checkpoint), Metrics()
            shelf = make_shelf(
                {"docs": Index.open(made / "docs.index", loaded)},
                lambda _index, name: Batcher(loaded, ModelMeter(metrics, name)),
            )
            admission = Admission(["127.0.0.1"], BearerTokenFile(tokens) if tokens else None)
            pages = Site(site) if site else None
            app = create_app(shelf, metrics=metrics, admission=admission, site=pages)
            return stack.enter_context(listening(app))

        yield start


@pytest.fixture(scope="module")
def url(serve: Serve, built_site: Path) -> str:
    return serve(built_site)


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str


def get(server: str, path: str, method: str = "GET") -> Answer:
    """The path is sent as it stands: other clients take the dots out first."""
    connection = HTTPConnection(server.removeprefix("http://"), timeout=60)
    with closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())


def test_the_site_is_under_a_strict_policy(url: str) -> None:
    for path in ("/docs/", "/docs/serving/", "/docs/assets/find.js", "/docs/assets/headings.json"):
        answer = get(url, path)
        assert answer.status == 200
        rules = answer.headers["content-security-policy"]
        assert rules.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in rules and "http" not in rules and "*" not in rules
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    moved = get(url, "/docs/serving")
    assert (moved.status, moved.headers["location"]) == (307, f"{url}/docs/serving/")
    assert get(url, "/docs/", "POST").status == 405
    assert "docs/" not in get(url, "/openapi.json").text


def test_the_site_needs_no_token_and_the_api_still_does(
    serve: Serve, built_site: Path, tmp_path: Path
) -> None:
    add_token(tmp_path / "tokens.json", "one", "read")
    guarded = serve(built_site, tmp_path / "tokens.json")
    assert get(guarded, "/docs/").status == 200
    for path in ("/v1/indexes", "/docs", "/docsx", "/openapi.json", "//docs/"):
        assert get(guarded, path).status == 401, path
    for path in ("/docs/../v1/indexes", "/docs/%2e%2e/metrics", "/docs/..%2fopenapi.json"):
        assert get(guarded, path).status == 404, path


@pytest.mark.parametrize(
    "path",
    [
        "/docs/../secret.txt",
        "/docs/%2e%2e/secret.txt",
        "/docs/..%2fsecret.txt",
        "/docs/a/..%5c..%5csecret.txt",
        "/docs//../secret.txt",
        "/docs//etc/passwd",
        "/docs/%2fetc%2fpasswd",
        "/docs/link.txt",
        "/docs/linked/secret.txt",
        "/docs/index.html%00.txt",
        "/docs/" + "x" * 5000,
        "/docs/none/",
    ],
)
def test_nothing_outside_of_the_site_is_served(outside: str, path: str, built_site: Path) -> None:
    answer = get(outside, path)
    assert answer.status == 404
    assert json.loads(answer.text)["error"]["code"] == "not_found"
    assert "hidden" not in answer.text


@pytest.fixture(scope="module")
def outside(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A site with a secret beside it, and links to that."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.txt").write_text("hidden")
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text("<p>open</p>")
    (site / "link.txt").symlink_to(folder / "secret.txt")
    (site / "linked").symlink_to(folder)
    return serve(site)


def test_without_a_site_there_is_none(serve: Serve) -> None:
    assert get(serve(None), "/docs/").status == 404


def addresses(url: str, query: str) -> list[str]:
    """The page of each hit, at the heading above it."""
    body = {"query": query, "group_by": "source", "k": 8}
    (found,) = httpx.post(f"{url}/v1/search", json=body, timeout=60).json()["results"]
    headings = httpx.get(f"{url}/docs/assets/headings.json").json()
    made = []
    for hit in found["hits"]:
        source, start = hit["metadata"]["source"], hit["metadata"]["start"]
        anchor = [name for offset, name in headings[source] if offset <= start][-1]
        made.append(f"{url}/docs/{source.removesuffix('index.html')}#{anchor}")
    return made


@pytest.mark.parametrize("width", [1280, 375])
def test_the_search_page_finds_the_heading(browser: "Browser", url: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/docs/find/")
    page.get_by_label("Question").fill("a token in the thought")
    page.get_by_label("Question").press("Enter")
    page.locator("#find-status", has_text="3 pages.").wait_for()
    assert page.locator(".find-thought").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for number, address in enumerate(addresses(url, "a token in the thought")):
        hit = page.locator("#find-hits a").nth(number)
        assert hit.get_attribute("href") == address
    hit.click()
    page.wait_for_url(address)
    assert page.locator(":target").is_visible()
    page.goto(f"{url}/docs/find/?q=DNS+rebinding")
    page.locator("#find-hits a", has_text="Threat model").wait_for()
    assert said == []
    assert [address for address in asked if not address.startswith(url)] == []
    context.close()


def test_markup_in_hits_is_text(browser: "Browser", url: str) -> None:
    evil = "<img src=x onerror=\"document.title='taken'\">"
    sources = ("serving/index.html", "javascript:alert(1)", "__proto__")
    hits = [
        {"title": evil, "text": evil, "metadata": {"source": source, "start": 0}}
        for source in sources
    ]
    found = {"results": [{"hits": hits, "thoughts": [{"text": evil}]}]}
    page = browser.new_page()
    page.route("**/v1/search", lambda route: route.fulfill(json=found))
    page.goto(f"{url}/docs/find/?q=ice")
    page.locator("#find-status", has_text="1 page.").wait_for()
    assert page.locator("#find-hits a").all_inner_texts() == [evil]
    assert evil in page.locator(".find-thought").inner_text()
    assert page.locator("#find-hits img, #find-status img").count() == 0
    assert page.title() != "taken"
    page.close()


def test_the_search_page_says_what_is_missing(
    browser: "Browser", serve: Serve, built_site: Path, tmp_path: Path
) -> None:
    add_token(tmp_path / "tokens.json", "one", "read")
    guarded = serve(built_site, tmp_path / "tokens.json")
    page = browser.new_page()
    page.goto(f"{guarded}/docs/find/?q=ice")
    page.get_by_text("This server wants a token.").wait_for()
    page.route("**/v1/search", lambda route: route.fulfill(status=404, body="not found"))
    page.reload()
    page.get_by_text("No t1 serve answers here").wait_for()
    page.close()
