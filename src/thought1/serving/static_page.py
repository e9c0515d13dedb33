"""GET /: the page on which one asks, watches the thought, and searches again.

Its files are read when the server starts and served by their own names alone, so that no path of a
request is looked up. They hold no data and need no token; what they show comes from the API.
"""

from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import PurePosixPath

from fastapi import APIRouter
from starlette.responses import Response

from thought1.serving.admission import PAGE

KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    # Trusted Types: the browser refuses to read any string as markup, whatever a script does.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    # A new version of the server may come with new files under the old names.
    "Cache-Control": "no-cache",
}


def make_router() -> APIRouter:
    """The routes of the page, one for each of its files; they are no part of the specification."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("thought1.serving") / "page"
    for path in PAGE:
        file = folder / (path.removeprefix("/") or "index.html")
        kind = KINDS[PurePosixPath(file.name).suffix]
        router.add_api_route(path, _answering(file.read_bytes(), kind), methods=["GET", "HEAD"])
    return router


def _answering(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return answer
