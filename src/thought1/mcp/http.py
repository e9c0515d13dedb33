"""The tools over HTTP: the streamable transport of `mcp`, after the checks of `serving`.

It knows no tool.
"""

from collections.abc import Callable

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from thought1.serving.address import Address
from thought1.serving.admission import Admission
from thought1.serving.tokens import BearerTokenFile, Scope

MAX_BODY = 256 * 1024
"""Bytes of one request; a question and its conditions take far less."""
SHUTDOWN_SECONDS = 10
"""How long running calls may continue when the server shuts down."""
_CHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""The admission in front does it."""


def http_app(server: MCPServer, address: Address, tokens: BearerTokenFile | None) -> ASGIApp:
    """The server's application, at /mcp."""
    app = server.streamable_http_app(transport_security=_CHECKED, max_request_body_size=MAX_BODY)
    return Admission(address.names, tokens, _reads).before(app)


def _reads(_method: str, _path: str) -> Scope:
    """The tools change nothing."""
    return "read"


def serve_http(
    server: MCPServer,
    address: Address,
    tokens: BearerTokenFile | None,
    on_listening: Callable[[str], None],
) -> None:
    """Serve until the process is signalled to stop; running calls are finished.

    Args:
        on_listening: called with the address once it is bound.

    Raises:
        Thought1Error: the address cannot be had.
    """
    app = http_app(server, address, tokens)
    with address.bind() as listening:
        on_listening(f"{address.url(listening)}/mcp")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])
