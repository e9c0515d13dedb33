"""`t1 serve`: indexes over HTTP.

Knows addresses and names, not what is answered (`thought1.serving`):

    t1 serve notes.index
    t1 serve notes.index papers=/data/papers.index --tokens tokens.json --host 0.0.0.0 \\
        --allow-host search.example.org
"""

import logging
import math
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thought1.cli.console import note
from thought1.cli.models import Encoder, open_index
from thought1.cli.options import IndexModel, TrustRemoteCode
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.contracts import ThoughtWriter
    from thought1.index import Index
    from thought1.serving.reranking import ServedReranker


Indexes = Annotated[
    list[str],
    typer.Argument(
        metavar="[NAME=]DIR...", help="Folders of indexes; by default named as their folders."
    ),
]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, metavar="N", help="0 takes a free one.")
]
Tokens = Annotated[
    Path | None,
    typer.Option(
        "--tokens", metavar="FILE", help="Accept only these tokens; `t1 tokens add` makes one."
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="A host name by which clients call the server. May be repeated.",
    ),
]
NoToken = Annotated[
    bool,
    typer.Option(
        "--no-token", help="Let whoever reaches an address beyond loopback read and write."
    ),
]
MaxBatch = Annotated[
    int,
    typer.Option(
        "--max-batch", min=1, metavar="N", help="Thoughts that are written together at most."
    ),
]
MaxRequests = Annotated[
    int,
    typer.Option(
        "--max-requests", min=1, max=4096, metavar="N", help="Requests at a time; beyond it, 429."
    ),
]
MaxThink = Annotated[
    int,
    typer.Option("--max-think", min=0, metavar="N", help="Most tokens of a thought in a request."),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", min=0.1, metavar="SECONDS", help="How long a request may take; beyond it, 504."
    ),
]
Rerankers = Annotated[
    list[str] | None,
    typer.Option(
        "--rerank",
        metavar="[NAME=]RERANKER",
        help="A reranker that requests may name, as of t1 search --rerank; by default it goes by "
        "its first word, such as cross-encoder. May be repeated.",
    ),
]
Thinkers = Annotated[
    list[str] | None,
    typer.Option(
        "--thinker",
        metavar="[NAME=]openai:URL#MODEL",
        help="A chat model that requests may let write the thoughts; by default it goes by the "
        "name openai. May be repeated.",
    ),
]
LogRequests = Annotated[
    bool, typer.Option("--log-requests", help="A line on stderr for each request.")
]


def serve(
    indexes: Indexes,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    tokens: Tokens = None,
    allow_host: AllowHost = None,
    no_token: NoToken = False,
    max_batch: MaxBatch = 32,
    max_requests: MaxRequests = 128,
    max_think: MaxThink = 512,
    timeout: Timeout = 120.0,
    rerank: Rerankers = None,
    thinker: Thinkers = None,
    log_requests: LogRequests = False,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Serve indexes over HTTP: search, thoughts, embeddings, reranking, documents."""
    try:
        import uvicorn

        from thought1.serving.address import Address
        from thought1.serving.admission import Admission
        from thought1.serving.app import create_app
        from thought1.serving.batching import Batcher
        from thought1.serving.limits import Limits
        from thought1.serving.metrics import Metrics, ModelMeter
        from thought1.serving.shelf import make_shelf
        from thought1.serving.tokens import BearerTokenFile
    except ModuleNotFoundError as error:
        raise Thought1Error(
            't1 serve needs more packages: pip install "thought1[serve]"'
        ) from error
    address = Address(host, port, tuple(allow_host or ()), bool(tokens), no_token)
    accepted = BearerTokenFile(tokens) if tokens else None
    metrics = Metrics()
    limits = replace(Limits(), requests=max_requests, think=max_think, seconds=timeout)

    def start(index: "Index", name: str) -> Batcher:
        loaded: Any = index.model
        return Batcher(loaded, ModelMeter(metrics, name), max_rows=max_batch)

    opened = _open(indexes, model, trust_remote_code)
    shelf = make_shelf(opened, start, _rerankers(rerank or []), _writers(thinker or []))
    admission = Admission(address.names, accepted)
    app = create_app(shelf, metrics=metrics, limits=limits, admission=admission)
    _log_on_stderr(log_requests)
    with address.bind() as listening:
        note(f"serving {', '.join(shelf.indexes)} at {address.url(listening)}")
        ending = math.ceil(timeout)
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False}
        config = uvicorn.Config(app, server_header=False, timeout_graceful_shutdown=ending, **quiet)
        # uvicorn raises the signal again when it has ended; by then all is done, and well.
        signal.signal(signal.SIGTERM, lambda *_: None)
        uvicorn.Server(config).run(sockets=[listening])


def _open(given: Sequence[str], model: str | None, trust: bool) -> dict[str, "Index"]:
    """The indexes by their names, each model loaded once."""
    from thought1.index import Index

    loaded: dict[str, Encoder] = {}
    found: dict[str, Index] = {}
    for one in given:
        name, folder = _named(one)
        if name in found:
            raise Thought1Error(f"two indexes are named {name!r}: name one of them as NAME=DIR")
        needed = model or Index.remembered(folder).model
        if needed in loaded:
            found[name] = Index.open(folder, loaded[needed])
        else:
            found[name], loaded[needed] = open_index(folder, model, trust)
    return found


def _rerankers(given: Sequence[str]) -> dict[str, "ServedReranker"]:
    """What requests may rerank by; models are loaded now."""
    from thought1.serving.reranking import serve_reranker

    return {name: serve_reranker(name, spec) for name, spec in _specs("reranker", given)}


def _writers(given: Sequence[str]) -> dict[str, "ThoughtWriter"]:
    """Who may write thoughts for requests; nothing is asked of them yet."""
    from thought1.writers.opening import open_writer

    return {name: open_writer(spec) for name, spec in _specs("thinker", given)}


def _specs(kind: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """`NAME=SPEC`, or a spec under its first word."""
    found: dict[str, str] = {}
    for one in given:
        match = re.match(r"([\w.-]+)=(.+)", one)
        name, spec = match.groups() if match else (one.partition(":")[0], one)
        if name in found:
            raise Thought1Error(f"two {kind}s are named {name!r}: name one of them as NAME=...")
        found[name] = spec
    return list(found.items())


def _named(given: str) -> tuple[str, Path]:
    """`NAME=DIR`, or a folder with its own name; a folder that is there is never taken apart."""
    name, sign, folder = given.partition("=")
    if not sign or Path(given).exists():
        return Path(given).resolve().name.removesuffix(".index"), Path(given)
    if not name or "/" in name:
        raise Thought1Error(f"{given!r}: write NAME=DIR, with a name without slashes")
    return name, Path(folder)


def _log_on_stderr(requests: bool) -> None:
    """Every record with its time, not each kind once as in a command that ends."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("thought1.serving")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO if requests else logging.WARNING)
