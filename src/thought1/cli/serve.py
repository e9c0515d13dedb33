"""`t1 serve`: indexes over HTTP.

Knows addresses and names, not what is answered (`thought1.serving`):

    t1 serve notes.index
    t1 serve notes.index papers=/data/papers.index --tokens tokens.json --host 0.0.0.0 \\
        --allow-host search.example.org
    t1 serve --config serve.toml
"""

import math
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

from thought1.cli.console import note
from thought1.cli.kept_thoughts import ThoughtCache
from thought1.cli.models import Encoder, open_index
from thought1.cli.options import IndexModel, TrustRemoteCode
from thought1.cli.serve_options import (
    AllowHost,
    Config,
    Host,
    Indexes,
    LogFormat,
    LogRequests,
    MaxBatch,
    MaxRequests,
    MaxThink,
    NoToken,
    Port,
    Rerankers,
    SiteFolder,
    Thinkers,
    Timeout,
    Tokens,
)
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from thought1.contracts import ThoughtWriter
    from thought1.files.bounded import BoundedFile
    from thought1.index import Index
    from thought1.serving.batching import Batcher
    from thought1.serving.metrics import Metrics
    from thought1.serving.reranking import ServedReranker
    from thought1.serving.settings import ServeSettings


def serve(
    indexes: Indexes = None,
    config: Config = None,
    host: Host = None,
    port: Port = None,
    tokens: Tokens = None,
    allow_host: AllowHost = None,
    no_token: NoToken = False,
    site: SiteFolder = None,
    max_batch: MaxBatch = None,
    max_requests: MaxRequests = None,
    max_think: MaxThink = None,
    timeout: Timeout = None,
    rerank: Rerankers = None,
    thinker: Thinkers = None,
    thought_cache: ThoughtCache = False,
    log_requests: LogRequests = None,
    log_format: LogFormat = None,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Serve indexes over HTTP: search, thoughts, embeddings, reranking, documents."""
    given = {
        "indexes": indexes or None,
        "host": host,
        "port": port,
        "tokens": tokens,
        "allow_host": allow_host or None,
        "no_token": no_token or None,
        "site": site,
        "max_batch": max_batch,
        "max_requests": max_requests,
        "max_think": max_think,
        "timeout": timeout,
        "rerank": rerank or None,
        "thinker": thinker or None,
        "thought_cache": thought_cache or None,
        "log_requests": log_requests,
        "log_format": log_format,
        "model": model,
        "trust_remote_code": trust_remote_code or None,
    }
    try:
        from thought1.serving.settings import read_settings
    except ModuleNotFoundError as error:
        raise Thought1Error(
            't1 serve needs more packages: pip install "thought1[serve]"'
        ) from error
    _serve(read_settings({k: v for k, v in given.items() if v is not None}, config))


def _serve(settings: "ServeSettings") -> None:
    """Serve until the process is signalled to stop."""
    from thought1.serving.address import Address
    from thought1.serving.admission import Admission
    from thought1.serving.app import create_app
    from thought1.serving.logs import lifecycle, log_to
    from thought1.serving.metrics import Metrics
    from thought1.serving.shelf import make_shelf
    from thought1.serving.site import Site
    from thought1.serving.tokens import BearerTokenFile

    if not settings.indexes:
        raise Thought1Error("name an index to serve: t1 serve DIR, or `indexes` of --config FILE")
    tokens = settings.tokens
    address = Address(
        settings.host, settings.port, settings.allow_host, bool(tokens), settings.no_token
    )
    accepted = BearerTokenFile(tokens) if tokens else None
    site = Site(settings.site) if settings.site else None
    opened = _open(settings.indexes, settings.model, settings.trust_remote_code)
    log_to(sys.stderr, settings.log_format, requests=settings.log_requests)
    metrics = Metrics()
    shelf = make_shelf(
        opened,
        _starting(metrics, settings.max_batch),
        _rerankers(settings.rerank),
        _writers(settings.thinker),
        _kept(opened) if settings.thought_cache else None,
    )
    app = create_app(
        shelf,
        metrics=metrics,
        limits=settings.limits,
        admission=Admission(address.names, accepted),
        site=site,
    )
    with address.bind() as listening:
        url = address.url(listening)
        if settings.log_format == "json":
            lifecycle.info("serving", extra={"indexes": list(shelf.indexes), "url": url})
        else:
            note(f"serving {', '.join(shelf.indexes)} at {url}")
        _run(app, listening, settings.timeout)


def _kept(indexes: "Mapping[str, Index]") -> "BoundedFile":
    """Where thoughts are kept.

    Raises:
        Thought1Error: no model of these thinks, or there is no place.
    """
    from thought1.search.thought_cache import default_file
    from thought1.t1 import T1

    if not any(isinstance(index.model, T1) for index in indexes.values()):
        raise Thought1Error("--thought-cache is for models that think, with a T1: leave it out")
    return default_file()


def _starting(metrics: "Metrics", rows: int) -> "Callable[[Index, str], Batcher]":
    """What starts the thread of a model."""
    from thought1.serving.batching import Batcher
    from thought1.serving.metrics import ModelMeter

    def start(index: "Index", name: str) -> Batcher:
        loaded: Any = index.model
        return Batcher(loaded, ModelMeter(metrics, name), max_rows=rows)

    return start


def _run(app: "ASGIApp", listening: socket, seconds: float) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        server_header=False,
        access_log=False,
        log_config=None,  # its records go where the server's own go
        timeout_graceful_shutdown=math.ceil(seconds),
    )
    # uvicorn raises the signal again when it has ended; by then all is done, and well.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


def _open(given: Sequence[str], model: str | None, trust: bool) -> dict[str, "Index"]:
    """The indexes by their names, each model loaded once."""
    from thought1.index import Index
    from thought1.serving.readiness import probe

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
        probe(found[name])  # a damaged file is reported now, not to the first client
    return found


def _rerankers(given: Sequence[str]) -> dict[str, "ServedReranker"]:
    """What requests may rerank by; models are loaded now."""
    from thought1.serving.reranking import serve_reranker

    return {name: serve_reranker(name, spec) for name, spec in _specs("reranker", given)}


def _writers(given: Sequence[str]) -> dict[str, "ThoughtWriter"]:
    """The writers of thoughts that requests may name; no request is sent yet."""
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
