"""`t1 mcp`: an index as tools for agents.

Knows transports by name; the tools are the library's:

    t1 mcp facts.index
    t1 mcp facts.index --http --port 8001
"""

from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.console import note
from thought1.cli.models import open_index
from thought1.cli.options import IndexModel, TrustRemoteCode
from thought1.types import Thought1Error


def mcp(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the index.")],
    over_http: Annotated[
        bool, typer.Option("--http", help="Serve HTTP at /mcp instead of stdin and stdout.")
    ] = False,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on, with --http.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, metavar="N", help="Port; 0 selects a free one."),
    ] = 8001,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            metavar="FILE",
            help="Accept only these tokens; `t1 tokens add` creates one.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A host name that clients use for the server. May be repeated.",
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Allow anyone who can reach the server to read, beyond loopback.",
        ),
    ] = False,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Serve search, think and fetch to agents, by the Model Context Protocol."""
    if not over_http and (tokens or allow_host or no_token):
        raise Thought1Error("--tokens, --allow-host and --no-token belong to --http")
    try:
        import mcp as _installed  # noqa: F401, only whether it is installed
    except ImportError as error:
        raise Thought1Error('t1 mcp needs more packages: pip install "thought1[mcp]"') from error
    from thought1.mcp.http import serve_http
    from thought1.mcp.server import thinking, tools_server
    from thought1.serving.address import Address
    from thought1.serving.tokens import BearerTokenFile

    address = Address(host, port, tuple(allow_host or ()), bool(tokens), no_token)
    accepted = BearerTokenFile(tokens) if tokens else None
    index, loaded = open_index(folder, model, trust_remote_code)
    server = tools_server(index, thinking(loaded))
    if over_http:
        serve_http(server, address, accepted, lambda place: note(f"tools at {place}"))
    else:
        server.run("stdio")
