"""The tools over HTTP: who may connect, and on which address. It knows no tool.

Requests must name a host that the server goes by (DNS rebinding), and bear a token where there is
a token file; the streamable HTTP transport of `mcp` does the rest, its limit on bodies included.
"""

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from thought1.serving.tokens import TokenFile
from thought1.types import Thought1Error

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY = 256 * 1024
"""Bytes of one request; a question and its conditions take far less."""
SHUTDOWN_SECONDS = 10
"""How long calls that run may go on when the server is told to end."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and who may connect.

    Raises:
        Thought1Error: it would listen beyond this machine without a token, and was not told to;
            or it listens everywhere, and nobody said by which names it is called.
    """

    host: str = "127.0.0.1"
    port: int = 8001
    tokens: Path | None = None
    no_token: bool = False
    """Whoever reaches the address may read, without a token."""
    names: Sequence[str] = ()
    """Host names by which clients call the server, beside its address."""

    def __post_init__(self) -> None:
        if not self.loopback and self.tokens is None and not self.no_token:
            raise Thought1Error(
                f"on {self.host} whoever reaches this machine could read the index: name a token "
                "file (`t1 tokens add FILE NAME` makes one), or allow it with no_token=True"
            )
        if self.host in ("", "0.0.0.0", "::") and not self.names:
            raise Thought1Error(
                f"listening on {self.host or 'every address'} needs the host names by which "
                "clients call the server: requests for another name are refused"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def accepted(self) -> TransportSecuritySettings:
        """The values of Host and Origin that requests may have."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        hosts = [*dict.fromkeys([*(LOOPBACK if self.loopback else ()), own, *self.names])]
        return TransportSecuritySettings(
            allowed_hosts=[form for host in hosts for form in (host, f"{host}:*")],
            allowed_origins=[
                form
                for host in hosts
                for scheme in ("http", "https")
                for form in (f"{scheme}://{host}", f"{scheme}://{host}:*")
            ],
        )

    def bind(self) -> socket.socket:
        """The socket, listening.

        Raises:
            Thought1Error: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family)
        except (OSError, OverflowError) as error:
            raise Thought1Error(
                f"{self.host} port {self.port} cannot be listened on ({error}): take another port"
            ) from error


def http_app(server: MCPServer, address: Address) -> App:
    """The server's application, at /mcp.

    Raises:
        Thought1Error: the token file cannot be read.
    """
    app: App = server.streamable_http_app(
        host=address.host, transport_security=address.accepted, max_request_body_size=MAX_BODY
    )
    return app if address.tokens is None else bearing(app, TokenFile(address.tokens))


def bearing(app: App, tokens: TokenFile) -> App:
    """The application behind a check of the bearer token; any scope may read."""

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and tokens.scope(_token(scope)) is None:
            await _refuse(send)
        else:
            await app(scope, receive, send)

    return checked


def serve_http(server: MCPServer, address: Address, told: Callable[[str], None]) -> None:
    """Serve until the process is told to end; calls that run are finished.

    Args:
        told: is called with the address once it is bound.

    Raises:
        Thought1Error: the address cannot be had, or the token file not be read.
    """
    app = http_app(server, address)
    with address.bind() as listening:
        host = f"[{address.host}]" if ":" in address.host else address.host
        told(f"http://{host}:{listening.getsockname()[1]}/mcp")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])


def _token(scope: Scope) -> str:
    """What stands behind "Bearer"; "" where nothing does."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            return str(token.strip()) if kind.lower() == "bearer" else ""
    return ""


async def _refuse(send: Send) -> None:
    error = {"message": "a bearer token of the server's token file is needed", "code": 401}
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
