"""What every request passes first: admission and size. And what is logged and counted of it.

A pure ASGI middleware. It knows paths and headers, no bodies.
"""

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from thought1.serving.admission import Admission
from thought1.serving.errors import ApiError
from thought1.serving.limits import Limits
from thought1.serving.metrics import Metrics

logger = logging.getLogger(__name__)

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""An id of a request that is taken over; another one could forge lines of a log."""


class Guard:
    """Refuses what must not come in, counts and logs what has come."""

    def __init__(
        self, app: ASGIApp, admission: Admission, limits: Limits, metrics: Metrics
    ) -> None:
        self._app = app
        self._admission = admission
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
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if _IDENTIFIER.fullmatch(given) else uuid.uuid4().hex
        with bound_contextvars(request_id=identifier):
            await self._answer(scope, receive, send, identifier)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, identifier: str) -> None:
        began, status = time.perf_counter(), 500

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
                scope["state"]["error"] = error.code
                await error.response()(scope, receive, sending)
                return
            await self._app(scope, self._measured(receive), sending)
        except Exception:
            scope["state"]["error"] = "internal_error"  # it is answered outside of here
            raise
        finally:
            self._count(scope, status, time.perf_counter() - began)

    def _check(self, scope: Scope) -> None:
        scope["state"] = dict(scope.get("state") or {})  # what the server shares stays its own
        scope["state"]["writable"] = self._admission.check(scope) == "write"
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.body:
            raise ApiError(413, "limit_exceeded", self._too_large)

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

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "none")
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        code = scope.get("state", {}).get("error")
        if code is not None:
            self._metrics.errors.labels(code).inc()
        # The route, not the path: ids of documents are content.
        shown = {
            "method": scope["method"],
            "route": path,
            "status": status,
            "milliseconds": round(1000 * seconds, 1),
        }
        logger.info("request", extra=shown)
