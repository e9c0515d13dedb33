"""The systems T1 is compared with: against brute force, and against a server in this process."""

import base64
import json
import math
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import make_checkpoint

from thought1.data.formats import BeirFolder
from thought1.evaluation.systems import Documents, open_system
from thought1.evaluation.systems.bm25_scores import PlainBM25, QueryBM25, best
from thought1.evaluation.systems.openai_server import BATCH, OpenAIServer
from thought1.model.sentence_identity import weights_of
from thought1.model.sentence_model import SentenceModel
from thought1.openai_client import KEY
from thought1.types import Thought1Error

TEXTS = [
    "Salt lowers the freezing point of water; salted water freezes later.",
    "Ice cubes crack in warm water.",
    "The psychology of water: psychological tests, and water again water.",
    "Roads are salted in winter, when water on roads freezes and roads are icy.",
    "",
]
ASKED = [
    "why is salt on roads, roads and roads in winter?",
    "Psychological water's water",
    "the of and",
    "zyxw",
]


def brute_force(texts: list[str], query: str) -> list[float]:
    """The formula of the module's docstring, straight from counted words."""
    analyze = QueryBM25().analyze
    documents = [Counter(analyze(text)) for text in texts]
    n, mean = len(texts), sum(d.total() for d in documents) / len(texts)
    holders = Counter(word for document in documents for word in document)
    asked = Counter({w: c for w, c in Counter(analyze(query)).items() if w in holders})

    def weight(word: str, counts: Counter[str]) -> float:
        idf = math.log(n + 1) - math.log(holders[word] + 0.5)
        norm = 0.9 * (1 - 0.4 + 0.4 * counts.total() / mean)
        return idf * counts[word] / (counts[word] + norm)

    return [sum(weight(w, asked) * weight(w, d) for w in asked if w in d) for d in documents]


@pytest.mark.parametrize("query", ASKED)
def test_query_bm25_is_the_official_formula(query: str) -> None:
    bm25 = QueryBM25()
    bm25.index(TEXTS)
    np.testing.assert_allclose(bm25.scores(query), brute_force(TEXTS, query), rtol=1e-5)


def test_query_weighting_differs_from_plain() -> None:
    """A word asked three times weighs three times as much in plain BM25, and less here."""
    texts = ["salt", "roads", "ice melts"]
    once, thrice = "salt roads", "salt roads roads roads"
    ratios = {}
    for kind in (PlainBM25, QueryBM25):
        bm25 = kind()
        bm25.index(texts)
        ratios[kind] = bm25.scores(thrice)[1] / bm25.scores(once)[1]
    assert ratios[PlainBM25] == pytest.approx(3)
    assert 1 < ratios[QueryBM25] < 2


def test_analysis_is_lucenes() -> None:
    analyze = QueryBM25().analyze
    # What joins between letters or digits stays; hyphens, commas and quotes part.
    text = "You're at example.com, 'favorite' 1,000.5 e-mail foo:bar a_b __ x.1 Zürich"
    assert analyze(text) == [
        "you'r", "example.com", "favorit", "1,000.5", "e", "mail", "foo:bar", "a_b", "x", "1",
        "zürich",
    ]  # fmt: skip
    assert analyze("The dog's tail, the dog\u2019s and THE") == ["dog", "tail", "dog"]
    # Lucene's stemmer keeps the two departures of Porter's own programs.
    assert analyze("psychology psychologies psychological") == ["psycholog"] * 3
    assert analyze("possibly possible incredibly incredible") == [
        "possibl", "possibl", "incred", "incred",
    ]  # fmt: skip
    assert analyze("biology geology") == ["biologi", "geologi"]  # no consonant before "logy"


@pytest.mark.parametrize("kind", [PlainBM25, QueryBM25])
def test_bm25_without_a_known_word(kind: type[PlainBM25] | type[QueryBM25]) -> None:
    bm25 = kind()
    bm25.index(TEXTS)
    for query in ("zyxw", "the", "?", ""):
        assert bm25.scores(query).tolist() == [0.0] * len(TEXTS)
    assert best(bm25.scores("zyxw"), 10) == []


def test_best_keeps_the_order_of_equals() -> None:
    assert best(np.array([1, 0, 3, 1, 1], np.float32), 3) == [(2, 3.0), (0, 1.0), (3, 1.0)]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    path = tmp_path_factory.mktemp("facts")
    rows = [{"_id": f"d{i}", "title": "T", "text": text} for i, text in enumerate(TEXTS[:4])]
    (path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Documents.of(BeirFolder(path).corpus())


@pytest.fixture(scope="module")
def sentence_transformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    path = tmp_path_factory.mktemp("st")
    base = Transformer(str(make_checkpoint(path / "bert", "bert")))
    prompts = {"query": "ask: ", "document": "text: "}
    SentenceTransformer(modules=[base, Pooling(32)], prompts=prompts).save(str(path / "peer"))
    return str(path / "peer")


class Bar:
    """Progress that is added up."""

    def __init__(self) -> None:
        self.done = 0

    def update(self, done: int, /) -> None:
        self.done += done


def test_sentence_transformer(documents: Documents, sentence_transformer: str) -> None:
    bars: dict[str, Bar] = {}

    def open_bar(description: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        return nullcontext(bars.setdefault(unit, Bar()))

    with open_system(f"st:{sentence_transformer}") as system:
        answers = system.rank(documents, {"q": "salt and ice"}, 100, open_bar)
    assert (system.facts.name, system.facts.kind, system.facts.mode) == ("peer", "st", "dense")
    assert system.facts.weights == weights_of(sentence_transformer)
    assert system.facts.revision == str(system.facts.weights)[:12]
    assert documents.size == bars["documents"].done == 4
    assert bars["queries"].done == 1
    model = SentenceModel.load(sentence_transformer).model
    vectors = model.encode([f"text: T\n{text}" for text in TEXTS[:4]], normalize_embeddings=True)
    scores = vectors @ model.encode("ask: salt and ice", normalize_embeddings=True)
    expected = {f"d{i}": float(score) for i, score in enumerate(scores)}
    assert answers.run["q"] == pytest.approx(expected, abs=1e-5)
    assert list(answers.run["q"].values()) == sorted(answers.run["q"].values(), reverse=True)
    receipt = answers.receipt
    assert receipt.prompt_tokens == len(model.tokenizer("ask: salt and ice")["input_ids"])
    assert receipt.milliseconds.keys() == {"embed", "dense"}


def test_settings_and_weights_change_with_the_model(
    sentence_transformer: str, tmp_path: Path
) -> None:
    model = SentenceModel.load(sentence_transformer)
    before = model.settings
    model.model.prompts = {**model.model.prompts, "query": "other: "}
    assert model.settings != before
    shutil.copytree(sentence_transformer, tmp_path / "other")
    pooling = tmp_path / "other" / "1_Pooling" / "config.json"
    assert SentenceModel.load(str(tmp_path / "other")).settings == before
    content = json.loads(pooling.read_text("utf-8"))
    pooling.write_text(json.dumps({**content, "pooling_mode": "cls"}), "utf-8")
    assert SentenceModel.load(str(tmp_path / "other")).settings != before
    shutil.rmtree(tmp_path / "other")
    assert weights_of(str(tmp_path)) is None
    (tmp_path / "2_Dense").mkdir()
    hashes = []
    for content in (b"1", b"2"):
        (tmp_path / "2_Dense" / "model.safetensors").write_bytes(content)
        hashes.append(weights_of(str(tmp_path)))
    assert None not in hashes and hashes[0] != hashes[1]


@pytest.mark.parametrize("spec", ["bm26", "st:", "openai:http://x", "openai:#m", "t1:folder", ""])
def test_unknown_systems_are_refused(spec: str) -> None:
    with pytest.raises(Thought1Error, match="there is no system"), open_system(spec):
        pass


def test_missing_packages_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setitem(sys.modules, "openai", None)
    with (
        pytest.raises(Thought1Error, match=r'pip install "thought1\[eval\]"'),
        open_system("bm25-query"),
    ):
        pass
    with (
        pytest.raises(Thought1Error, match=r'pip install "thought1\[export\]"'),
        open_system("st:x"),
    ):
        pass
    with pytest.raises(Thought1Error, match=r'openai: pip install "thought1\[eval\]"'):
        OpenAIServer("http://127.0.0.1:9", "m").embed(["a"])


def test_no_such_sentence_transformer(tmp_path: Path) -> None:
    name = f"st:{tmp_path / 'none'}"
    with (
        pytest.raises(Thought1Error, match="is not a sentence-transformers model"),
        open_system(name),
    ):
        pass


class Server:
    """An embedding server whose vectors are (number of words, 1), and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.headers: set[str] = set()
        self.failures: list[int] = []  # statuses to answer first
        self.as_base64 = True
        self.answer: Any = None  # instead of the right one

    def respond(self, request: dict[str, Any]) -> Any:
        rows = []
        for i, text in enumerate(request["input"]):
            vector: Any = [float(len(text.split())), 1.0]
            if self.as_base64:
                vector = base64.b64encode(np.array(vector, "<f4").tobytes()).decode()
            rows.append({"index": i, "embedding": vector})
        tokens = sum(len(text.split()) for text in request["input"])
        return {"data": rows[::-1], "usage": {"prompt_tokens": tokens}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, str]]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.paths.append(self.path)
            state.keys.append(self.headers["Authorization"])
            state.headers.update(name.lower() for name in self.headers)
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(request)
            status = state.failures.pop(0) if state.failures else 200
            content = state.respond(request) if state.answer is None else state.answer
            body = b"no" if status != 200 else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield state, f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("as_base64", [True, False])
def test_server_gives_unit_vectors_in_order(server: tuple[Server, str], as_base64: bool) -> None:
    state, url = server
    state.as_base64 = as_base64
    texts = ["one", "one two three"] * BATCH
    client = OpenAIServer(f"{url}/v1/", "m", waits=())
    vectors = client.embed(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:2], [[0.5**0.5, 0.5**0.5], [0.9**0.5, 0.1**0.5]], rtol=1e-6)
    assert [len(request["input"]) for request in state.requests] == [BATCH, BATCH]
    assert state.paths == ["/v1/embeddings"] * 2
    assert state.requests[0]["model"] == "m" and state.keys == [None, None]
    assert client.tokens == 4 * BATCH


def test_server_is_asked_again(server: tuple[Server, str], monkeypatch: pytest.MonkeyPatch) -> None:
    state, url = server
    monkeypatch.setenv(KEY, "secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "ours")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "ours")
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    state.failures = [429, 503]
    assert OpenAIServer(url, "m").embed(["a"]).shape == (1, 2)
    assert waited == [1.0, 2.0]
    assert state.keys == ["Bearer secret"] * 3
    assert not {"openai-organization", "openai-project"} & state.headers
    state.failures = [500] * 9
    with pytest.raises(Thought1Error, match="answers 500: no"):
        OpenAIServer(url, "m").embed(["a"])
    assert len(state.failures) == 3  # five waits, six attempts
    state.failures = [401]
    with pytest.raises(Thought1Error, match=rf"answers 401: no \(set {KEY}\)"):
        OpenAIServer(url, "m").embed(["a"])
    assert state.failures == [] and len(waited) == 7


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": "&"}]},
        {"data": [{"index": 0, "embedding": [float("nan")]}]},
        {"data": [{"index": 0, "embedding": 3}]},
        {"error": "x"},
        [],
    ],
)
def test_strange_answers_are_one_sentence(server: tuple[Server, str], answer: Any) -> None:
    state, url = server
    state.answer = answer
    with pytest.raises(Thought1Error, match="does not answer as an OpenAI-compatible"):
        OpenAIServer(url, "m", waits=()).embed(["a"])


def test_server_not_reached(server: tuple[Server, str]) -> None:
    with pytest.raises(Thought1Error, match="cannot be reached"):
        OpenAIServer("http://127.0.0.1:9", "m", waits=()).embed(["a"])
    with pytest.raises(Thought1Error, match="is not the address"):
        OpenAIServer("localhost", "m", waits=()).embed(["a"])
    with pytest.raises(Thought1Error, match="is not the address"):
        OpenAIServer("http://[::1", "m", waits=()).embed(["a"])


def test_an_empty_text_is_sent_as_a_blank(server: tuple[Server, str]) -> None:
    # OpenAI's own server refuses "", with all the texts beside it.
    state, url = server
    assert OpenAIServer(url, "m").embed(["one two", ""]).shape == (2, 2)
    assert state.requests[0]["input"] == ["one two", " "]


def test_served_system(server: tuple[Server, str], documents: Documents) -> None:
    _, url = server
    with open_system(f"openai:{url}#owner/model") as system:
        answers = system.rank(documents, {"q": "one two"}, 100)
    assert (system.facts.name, system.facts.revision) == ("owner/model", "unversioned")
    words = [len(f"T\n{text}".split()) for text in TEXTS[:4]]
    expected = {f"d{i}": (2 * n + 1) / math.sqrt((n * n + 1) * 5) for i, n in enumerate(words)}
    assert answers.run["q"] == pytest.approx(expected, abs=1e-5)
    assert answers.receipt.prompt_tokens == 2
