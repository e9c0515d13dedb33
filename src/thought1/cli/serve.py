"""`t1 serve`: indexes over HTTP.

Knows addresses and names, not what is answered (`thought1.serving`):

    t1 serve notes.index
    t1 serve notes.index papers=/data/papers.index --tokens tokens.json --host 0.0.0.0 \\
        --allowed-host search.example.org
"""

import ipaddress
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
    from thought1.index import Index
    from thought1.serving.guard import Security

EXTRA = 'a server needs more packages: pip install "thought1[serve]"'


def serve(
    indexes: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]DIR...", help="Folders of indexes; by default named as their folders."
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; by default this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any free.")] = 8321,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Answer those alone who send a token of `t1 tokens add`."
        ),
    ] = None,
    allow_anonymous: Annotated[
        bool,
        typer.Option(
            "--allow-anonymous",
            help="Listen beyond this machine without tokens: everybody who reaches it may read "
            "and write.",
        ),
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A name of this server in the Host header. May be repeated."
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(min=1, metavar="N", help="Thoughts that are written together at most.")
    ] = 32,
    max_requests: Annotated[
        int,
        typer.Option(min=1, max=4096, metavar="N", help="Requests at a time; beyond it, 429."),
    ] = 128,
    max_think: Annotated[
        int, typer.Option(min=0, metavar="N", help="Most tokens of a thought in a request.")
    ] = 512,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="How long a request may take; beyond it, 504."
        ),
    ] = 120.0,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="A line on stderr for each request.")
    ] = False,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Serve indexes over HTTP: search, thoughts, embeddings, reranking, documents."""
    try:
        import uvicorn

        from thought1.serving.app import create_app
        from thought1.serving.batching import Batcher
        from thought1.serving.limits import Limits
        from thought1.serving.metrics import Metrics, ModelMeter
        from thought1.serving.shelf import make_shelf
    except ModuleNotFoundError as error:
        raise Thought1Error(f"{EXTRA} ({error.name} is missing)") from error

    security = _security(host, tokens, allow_anonymous, allowed_host or [])
    metrics = Metrics()
    limits = replace(Limits(), requests=max_requests, think=max_think, seconds=timeout)

    def start(index: "Index", name: str) -> Batcher:
        loaded: Any = index.model
        return Batcher(loaded, ModelMeter(metrics, name), max_rows=max_batch)

    shelf = make_shelf(_open(indexes, model, trust_remote_code), start)
    app = create_app(shelf, metrics=metrics, limits=limits, security=security)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(timeout) + 1,
    )
    _log(log_requests)
    _run(uvicorn.Server(config), config, shelf.indexes)


def _run(server: Any, config: Any, names: Any) -> None:
    """Bind first, so that what is told is true and what cannot be bound is an error of its own."""
    import socket

    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family=family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise Thought1Error(
            f"cannot listen at {config.host} port {config.port}: {error.strerror or error}; name "
            "another port or address"
        ) from None
    shown = f"[{config.host}]" if ":" in config.host else config.host
    note(f"serving {', '.join(names)} at http://{shown}:{listening.getsockname()[1]}")
    server.run(sockets=[listening])


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


def _named(given: str) -> tuple[str, Path]:
    """`NAME=DIR`, or a folder with its own name; a folder that is there is never taken apart."""
    name, sign, folder = given.partition("=")
    if not sign or Path(given).exists():
        return Path(given).resolve().name.removesuffix(".index"), Path(given)
    if not name or "/" in name:
        raise Thought1Error(f"{given!r}: write NAME=DIR, with a name without slashes")
    return name, Path(folder)


def _security(
    host: str, tokens: Path | None, allow_anonymous: bool, allowed: Sequence[str]
) -> "Security":
    from thought1.serving.guard import LOOPBACK_NAMES, Security
    from thought1.serving.tokens import TokenFile

    file = None if tokens is None else TokenFile(tokens)
    if file is not None and not len(file):
        raise Thought1Error(f"{tokens} holds no token: make one with `t1 tokens add FILE NAME`")
    if not _is_loopback(host) and file is None and not allow_anonymous:
        raise Thought1Error(
            f"{host} can be reached from other machines: make a token with `t1 tokens add FILE "
            "NAME` and give --tokens FILE, or say --allow-anonymous"
        )
    names = {name.lower().strip("[]") for name in allowed}
    return Security(LOOPBACK_NAMES | {host.lower()} | names, file)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _log(requests: bool) -> None:
    import logging

    if requests:
        logging.getLogger("thought1.serving.guard").setLevel(logging.INFO)
