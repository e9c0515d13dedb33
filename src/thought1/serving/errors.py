"""Errors as clients see them: one shape, that of OpenAI's API.

{"error": {"message": "...", "type": "invalid_request_error", "param": "k", "code": "..."}}
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match, Route

from thought1.types import DiskFull, IndexUnavailable, Thought1Error

logger = logging.getLogger(__name__)

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
    507: "server_error",
}


_KIND = re.compile(r"str|constrained-str|(list|function)\b.*|[A-Z]\w*")


class ErrorDetail(BaseModel):
    """What is wrong, and what to do."""

    message: str
    type: str
    """By the status: invalid_request_error, authentication_error, permission_error,
    not_found_error, rate_limit_error, server_error or timeout_error."""
    param: str | None
    """The field of the request, where one is to blame."""
    code: str
    """A word for programs."""


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer that is no success.

    Args:
        code: a word for programs, such as "limit_exceeded".
        param: the field of the request to blame.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        kind = TYPES.get(status, "invalid_request_error")
        self.body = ErrorBody(error=ErrorDetail(message=message, type=kind, param=param, code=code))

    def response(self) -> JSONResponse:
        """As HTTP."""
        return JSONResponse(self.body.model_dump(), self.status, self.headers)


def as_api_error(error: BaseException) -> ApiError:
    """The error that a client sees; for an unexpected one, only that it happened."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DiskFull):
        message = (
            "the disk of an index is full: what was stored can be searched; send this again when "
            "there is space"
        )
        return ApiError(507, "disk_full", message)
    if isinstance(error, IndexUnavailable):
        message = "an index of this server cannot be read or written now; the server's log says why"
        return ApiError(503, "index_unavailable", message)
    if isinstance(error, Thought1Error):
        return ApiError(400, "invalid_value", str(error))
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        return ApiError(error.status_code, code, str(error.detail), headers=error.headers)
    return ApiError(500, "internal_error", "something failed in the server; its log says more")


def _invalid(error: RequestValidationError) -> ApiError:
    """The first thing wrong in a request's fields, without repeating what was sent."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(422, "invalid_json", "the body is not JSON")
    # First stands where it was (body, query, path); a kind of value is a member of a union.
    place = [str(part) for part in first["loc"][1:] if not _KIND.fullmatch(str(part))]
    place = place[:8]  # what is nested deeper is no field of ours
    name = ".".join(place) or None
    message = first["msg"]
    return ApiError(422, "invalid_request", f"{name}: {message}" if name else message, name)


def told(error: BaseException) -> ApiError:
    """`as_api_error`; what is the server's own fault goes to the log, with all that is known."""
    if isinstance(error, IndexUnavailable):
        logger.error("%s", error)
    elif not isinstance(error, ApiError | Thought1Error | RequestValidationError | HTTPException):
        logger.error("a request failed", exc_info=error)
    return as_api_error(error)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """An exception handler of FastAPI."""
    refusal = told(error)
    request.state.error = refusal.code
    return refusal.response()


def not_allowed(
    routers: Sequence[APIRouter],
) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    """A handler of 405 that names all methods of a path, not those of its first route alone."""
    routes = [route for router in routers for route in router.routes if isinstance(route, Route)]

    async def handle(request: Request, error: Exception) -> JSONResponse:
        found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        methods = sorted({method for route in found for method in route.methods or ()})
        refusal = as_api_error(error)
        request.state.error = refusal.code
        if methods:
            refusal.headers["Allow"] = ", ".join(methods)
        return refusal.response()

    return handle
