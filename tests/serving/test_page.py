"""The page at /: its headers and files, and the whole of it in a real browser."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from live_server import listening
from t1_command import NOTES

from thought1.index import Index
from thought1.serving.admission import PAGE, Admission
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.serving.tokens import BearerTokenFile, add_token
from thought1.t1 import T1
from thought1.types import Document

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

QUESTION = "Why do ice cubes crack?"
EVIL = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Iterator[Serve]:
    """Starts servers, which end with the module."""
    with ExitStack() as stack:

        def start(tokens: Path | None = None) -> str:
            loaded = T1.from_pretrained(checkpoint)
            index = Index.create(tmp_path_factory.mktemp("page") / "notes", loaded)
            notes = [Document(i, text, metadata={"year": y}) for i, text, y, _ in NOTES]
            index.add([*notes, Document("evil", f"Ice cubes crack. {EVIL}", title=EVIL)])
            metrics = Metrics()
            shelf = make_shelf(
                {"notes": index}, lambda _index, name: Batcher(loaded, ModelMeter(metrics, name))
            )
            admission = Admission(["127.0.0.1"], BearerTokenFile(tokens) if tokens else None)
            return stack.enter_context(
                listening(create_app(shelf, metrics=metrics, admission=admission))
            )

        yield start


@pytest.fixture(scope="module")
def url(serve: Serve) -> str:
    return serve()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    made = {scope: add_token(path, scope, scope) for scope in ("read", "write")}  # type: ignore[arg-type]
    return {**made, "path": str(path)}


@pytest.fixture(scope="module")
def guarded(serve: Serve, tokens: dict[str, str]) -> str:
    return serve(Path(tokens["path"]))


# -- over HTTP -----------------------------------------------------------------------------------


def policy(answer: httpx.Response) -> dict[str, str]:
    parts = answer.headers["content-security-policy"].split("; ")
    return dict(part.split(" ", 1) for part in parts)


def test_every_file_of_the_page_is_served_and_no_other() -> None:
    folder = resources.files("thought1.serving") / "page"
    names = {file.name for file in folder.iterdir()}
    assert {path.removeprefix("/") or "index.html" for path in PAGE} == names


@pytest.mark.parametrize("path", PAGE)
def test_the_page_is_open_and_under_a_strict_policy(guarded: str, path: str) -> None:
    answer = httpx.get(guarded + path)
    assert answer.status_code == 200
    rules = policy(answer)
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["frame-ancestors"] == rules["trusted-types"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    wanted = {"/": "text/html", "/page.css": "text/css", "/icon.svg": "image/svg+xml"}
    assert answer.headers["content-type"].startswith(wanted.get(path, "text/javascript"))
    assert httpx.head(guarded + path).status_code == 200


def test_the_page_loads_nothing_from_elsewhere_and_reads_no_markup(url: str) -> None:
    for path in PAGE:
        text = httpx.get(url + path).text.replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text and "//cdn" not in text, path
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (path, word)
    html = httpx.get(url).text
    assert not re.search(r"<[^>]*\s(on\w+|style)=|<style|<script(?![^>]* src=)", html)


@pytest.mark.parametrize(
    "path",
    [
        "/page/page.js",
        "/index.html",
        "/static_page.py",
        "/..%2fapp.py",
        "/page.css/..%2f..%2fapp.py",
        "/%2e%2e/app.py",
        "/..%5capp.py",
        "/page.js%00",
        "//etc/passwd",
    ],
)
def test_no_other_path_is_a_file(url: str, guarded: str, path: str) -> None:
    """Sent as they stand: httpx would take the dots out first."""
    for server, status in ((url, 404), (guarded, 401)):
        with httpx.Client() as client:
            request = client.build_request("GET", server)
            request.url = request.url.copy_with(raw_path=path.encode())
            assert client.send(request).status_code == status


def test_the_api_stays_closed_and_says_who_may_write(
    url: str, guarded: str, tokens: dict[str, str]
) -> None:
    assert httpx.get(f"{guarded}/v1/indexes").status_code == 401
    assert httpx.get(f"{url}/v1/indexes").json()["writable"] is True
    for scope in ("read", "write"):
        headers = {"Authorization": f"Bearer {tokens[scope]}"}
        found = httpx.get(f"{guarded}/v1/indexes", headers=headers).json()
        assert found["writable"] is (scope == "write")


# -- in a browser --------------------------------------------------------------------------------


class Watched:
    """A page, what its console said, and what it asked the server for."""

    def __init__(self, page: "Page", address: str) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[Request] = []
        page.set_default_timeout(60_000)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on(
            "request", lambda request: self.asked.append(request)
        )  # it marks its handlers, which a builtin refuses
        page.goto(address)

    def ask(self, question: str = QUESTION) -> None:
        self.page.get_by_label("Question").fill(question)
        self.page.get_by_label("Question").press("Enter")

    def says(self, words: str) -> None:
        self.page.locator("#status", has_text=words).wait_for()

    def sent(self) -> dict[str, Any]:
        """The body of the last request that had one."""
        bodies = [request.post_data for request in self.asked if request.post_data]
        found: dict[str, Any] = json.loads(bodies[-1])
        return found


Open = Callable[..., Watched]


@pytest.fixture
def open_page(browser: "Browser", url: str) -> Iterator[Open]:
    contexts = []

    def open_(address: str = url, width: int = 1280, scheme: str = "light") -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        watched = Watched(context.new_page(), address)
        where = "#token-form:visible, #indexes tr"
        watched.page.locator(where).first.wait_for()
        return watched

    yield open_
    for context in contexts:
        context.close()


def test_ask_edit_the_thought_and_ask_again(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    # The thought's box takes each text that it is given: what it showed is what came, in order.
    page.evaluate(
        """() => {
          const own = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value");
          window.shown = [];
          Object.defineProperty(document.getElementById("thought"), "value", {
            get() { return own.get.call(this); },
            set(text) { window.shown.push(text); own.set.call(this, text); },
          });
        }"""
    )
    watched.ask()
    watched.says("Found after 8 tokens of thought.")
    assert watched.sent() == {
        "query": QUESTION, "index": "notes", "k": 10, "mode": "hybrid", "think": 8, "stream": True,
    }  # fmt: skip
    thought = page.get_by_label("Thought", exact=True)
    written = thought.input_value()
    shown = page.evaluate("window.shown")
    assert written and shown[0] == "" and shown[-1] == written
    assert len(set(shown)) > 3 and all(written.startswith(text) for text in shown[:-1])
    assert page.locator(".hit").count() == 5
    assert page.locator(".hit mark.question").count() > 0
    assert "tokens of the thought\t8" in page.locator(".receipt").inner_text()

    thought.fill("Rust eats iron.")
    page.get_by_role("button", name="Search with this thought").click()
    watched.says("Found with the edited thought.")
    assert watched.sent()["thoughts"] == ["Rust eats iron."] and "think" not in watched.sent()
    marked = page.locator(".hit", has_text="Iron rusts").locator("mark.thought")
    assert marked.all_inner_texts() == ["Iron", "rusts"]
    assert watched.said == []


def test_not_thinking_and_words_alone(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    slider = page.get_by_label("Thinking budget")
    assert slider.input_value() == "8"  # the model's own
    slider.press("Home")
    watched.ask()
    watched.says("Found without a thought.")
    assert watched.sent()["think"] == 0
    page.get_by_label("Search by").select_option("bm25")
    assert slider.is_disabled()
    assert page.locator("#thought-form").is_hidden()
    watched.ask("salt")
    page.locator(".hit").first.wait_for()
    watched.says("Found without a thought.")
    assert "think" not in watched.sent()
    assert page.locator(".hit .best").first.inner_text().startswith("Salt lowers")
    assert watched.said == []


def test_three_ways_beside_each_other(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name="Compare three ways").click()
    watched.says("side by side")
    names = ("BM25", "Not thinking", "Thinking")
    columns = [page.get_by_role("region", name=name, exact=True) for name in names]
    for column in columns:
        assert column.locator(".hit").first.is_visible()
        assert column.get_by_text("together, ms").is_visible()
    assert [column.locator(".written").count() for column in columns] == [0, 0, 1]
    bodies = [json.loads(one.post_data) for one in watched.asked if one.post_data]
    assert [(one["mode"], one.get("think")) for one in bodies] == [
        ("bm25", None), ("hybrid", 0), ("hybrid", 8),
    ]  # fmt: skip
    assert watched.said == []


def test_each_hit_says_why_it_was_found(open_page: Open, url: str) -> None:
    watched = open_page()
    page = watched.page
    page.get_by_label("Explain each hit").check()
    watched.ask()
    watched.says("Found after 8 tokens of thought.")
    page.get_by_label("Thought", exact=True).fill("Rust eats iron; ice is cold.")
    page.get_by_role("button", name="Search with this thought").click()
    watched.says("Found with the edited thought.")
    body = watched.sent()
    assert body.pop("explain") is True and body.pop("stream")
    answer = httpx.post(f"{url}/v1/search", json={**body, "explain": True}).json()
    hits = answer["results"][0]["hits"]
    assert hits
    for hit, card in zip(hits, page.locator(".hit").all(), strict=True):
        told = hit["explanation"]
        lines = card.get_by_role("list", name="Why").locator("li").all_inner_texts()
        effects = [float(line.split()[0].replace("\u2212", "-")) for line in lines[:2]]
        assert effects == pytest.approx([part["effect"] for part in told["parts"]], abs=6e-4)
        assert [line.split(maxsplit=1)[1] for line in lines[:2]] == [
            part["text"] for part in told["parts"]
        ]
        assert len(lines) == 2 + bool(told["words"])
        start, end = told["highlight"]["start"], told["highlight"]["end"]
        assert card.locator(".best").inner_text().startswith(hit["text"][start:end].split()[0])
    assert watched.said == []


def test_markup_in_documents_and_questions_is_text(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    watched.ask(f"ice {EVIL}")
    watched.says("Found")
    hit = page.locator(".hit", has_text="onerror")
    assert EVIL in hit.locator(".title").inner_text()
    assert page.locator("main script, main img").count() == 0
    assert page.title() == "Thought 1"
    assert watched.said == []
    # Trusted Types: markup from a string is refused even where a script would read it.
    refused = (
        "() => { try { document.body.innerHTML = '<i>x</i>'; return false } catch { return true } }"
    )
    assert page.evaluate(refused)


def test_the_code_runs_as_it_is_copied(open_page: Open, tmp_path: Path) -> None:
    watched = open_page()
    page = watched.page
    watched.ask("""What's "ice" \\ $HOME?""")
    watched.says("Found")
    wanted = page.locator(".hit .title").all_inner_texts()
    page.get_by_text("This request as code").click()
    python = page.locator("#python").inner_text()
    done = subprocess.run(
        [sys.executable, "-c", python], capture_output=True, text=True, timeout=60, check=True
    )
    found = [line.split()[1] for line in done.stdout.splitlines()]
    assert len(found) == len(wanted)
    assert [one for one in found if one != "evil"] == [one for one in wanted if one != EVIL]
    if shutil.which("curl"):
        curl = page.locator("#curl").inner_text()
        answer = subprocess.run(
            ["sh", "-c", f"{curl} -s"], capture_output=True, text=True, timeout=60, check=True
        )
        (result,) = json.loads(answer.stdout)["results"]
        assert result["query"] == """What's "ice" \\ $HOME?"""
        assert [hit["id"] for hit in result["hits"]] == found
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as Python").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").splitlines() == python.splitlines()


def test_tokens_and_who_may_add(open_page: Open, guarded: str, tokens: dict[str, str]) -> None:
    watched = open_page(guarded)
    page = watched.page
    field = page.get_by_label("Token", exact=True)
    assert field.evaluate("(one) => document.activeElement === one")
    field.fill("t1_wrong")
    field.press("Enter")
    page.get_by_text("does not accept this token").wait_for()
    field.fill(tokens["read"])
    field.press("Enter")
    page.get_by_text("This token may only read").wait_for()
    assert field.is_hidden() and page.locator("#add-form").is_hidden()
    watched.ask()
    watched.says("Found")
    page.get_by_text("This request as code").click()
    code = page.locator("#curl").inner_text() + page.locator("#python").inner_text()
    assert tokens["read"] not in code and code.count("T1_TOKEN") == 2
    page.reload()
    page.get_by_text("This token may only read").wait_for()  # kept in the tab

    page.get_by_role("button", name="Forget the token").click()
    field.fill(tokens["write"])
    field.press("Enter")
    page.get_by_role("heading", name="Add a document to notes").wait_for()
    assert page.locator("#indexes td").all_inner_texts()[:2] == ["notes", "5"]
    page.get_by_label("Id", exact=True).fill("snow")
    page.locator("#add-text").fill("Snow is frozen water.")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("Added snow; notes has 6 documents.").wait_for()
    page.locator("#indexes td", has_text="6").first.wait_for()
    assert all("401" in said for said in watched.said)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_one_way(open_page: Open, scheme: str) -> None:
    watched = open_page(width=375, scheme=scheme)
    page = watched.page
    watched.ask("x" * 300)
    watched.says("Found")
    page.get_by_role("button", name="Compare three ways").click()
    watched.says("side by side")
    page.get_by_text("This request as code").click()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_everything_is_reached_by_keyboard_and_has_a_name(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    watched.ask()
    watched.says("Found")
    page.evaluate("document.activeElement.blur()")
    stops: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    for wanted in ("question", "index", "mode", "k", "budget", "compare", "thought", "again"):
        assert wanted in stops
    unnamed = """() => [...document.querySelectorAll("input, select, textarea, button")]
      .filter((one) => !(one.labels?.length || one.textContent.trim())).map((one) => one.id)"""
    assert page.evaluate(unnamed) == []
    assert watched.said == []


def test_what_the_server_refuses_is_told(open_page: Open) -> None:
    watched = open_page()
    page = watched.page
    page.locator("#budget").evaluate("(one) => { one.max = 9999; one.value = 9999 }")
    watched.ask()
    page.get_by_role("alert").filter(has_text="512").wait_for()
    assert page.locator("#stop").is_disabled()
