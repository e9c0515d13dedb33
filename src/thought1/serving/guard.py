"""What every request passes first: host, origin, token, size. And what is logged of it.

A pure ASGI middleware. It knows paths and headers, no bodies.
"""

import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thought1.serving.errors import ApiError
from thought1.serving.limits import Limits
from thought1.serving.metrics import Metrics
from thought1.serving.tokens import TokenFile

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({"/health", "/ready"})
"""What needs no token."""
WRITTEN_PATH = "/v1/documents"


@dataclass(frozen=True, slots=True)
class Security:
    """Who may ask, and under which names of this server."""

    hosts: frozenset[str] = LOOPBACK_NAMES
    """Names in the Host header that are answered, so that no web page whose name has been pointed
    at this machine (DNS rebinding) can ask."""
    tokens: TokenFile | None = field(default=None)
    """None: everybody may read and write."""


class Guard:
    """Refuses what must not come in, counts and logs what has come."""

    def __init__(self, app: ASGIApp, security: Security, limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._security = security
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
            return
        began, identifier = time.perf_counter(), uuid.uuid4().hex
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = identifier
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            try:
                self._check(scope)
            except ApiError as error:
                await error.response()(scope, receive, sending)
                return
            await self._app(scope, self._measured(receive), sending)
        finally:
            self._count(scope, status, time.perf_counter() - began, identifier)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = _host_name(host)
        if name not in self._security.hosts:
            raise ApiError(
                421,
                "unknown_host",
                "the Host header names another server than this one; whoever runs it can name "
                "more with `t1 serve --allowed-host NAME`",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise ApiError(
                403, "cross_origin", "pages of other origins may not use this server (CORS is off)"
            )
        if self._security.tokens is not None and scope["path"] not in OPEN_PATHS:
            self._authorise(self._security.tokens, scope, headers.get("authorization", ""))
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.body:
            raise ApiError(413, "limit_exceeded", self._too_large)

    def _authorise(self, tokens: TokenFile, scope: Scope, header: str) -> None:
        kind, _, token = header.partition(" ")
        found = tokens.scope(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            raise ApiError(
                401,
                "invalid_token",
                "send a token of this server: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
        writes = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if writes and scope["path"].startswith(WRITTEN_PATH) and found != "write":
            raise ApiError(403, "read_only_token", "this token may read, not change documents")

    @property
    def _too_large(self) -> str:
        return f"a request has at most {self._limits.body} bytes"

    def _measured(self, receive: Receive) -> Receive:
        """The same messages; a body that tells no length, or another one, is stopped too."""
        read = 0

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limits.body:
                raise HTTPException(413, self._too_large)
            return message

        return receiving

    def _count(self, scope: Scope, status: int, seconds: float, identifier: str) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "none")
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        # The route, not the path: ids of documents are content.
        logger.info(
            "%s %s %d %.1f ms %s", scope["method"], path, status, 1000 * seconds, identifier
        )


def _host_name(host: str) -> str:
    """A Host header without its port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
