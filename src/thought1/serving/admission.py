"""Who may ask: checked before a body is read and before any route is looked at.

A request must name a host that the server goes by (a page that rebinds its own name to 127.0.0.1
names another), must not come from a page of another origin, and must bear a token where the server
has a token file. It knows headers, methods and paths, no route.
"""

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from thought1.serving.errors import ApiError
from thought1.serving.tokens import BearerTokenFile
from thought1.serving.tokens import Scope as TokenScope

PAGE = (
    "/",
    "/page.css",
    "/page.js",
    "/api.js",
    "/code.js",
    "/matching.js",
    "/results.js",
    "/searching.js",
    "/icon.svg",
)
"""The page and its files: the same for everybody, without data."""
OPEN = ("/health", "/ready", *PAGE)
"""What needs no token: it tells nothing but that the server is there."""
SITE = "/docs/"
"""What lies below is the folder of `t1 serve --site`, for everybody too."""
_WRITES = "/v1/documents"
_PORTS = {"http": 80, "https": 443}

Needs = Callable[[str, str], TokenScope | None]
"""The scope that a method and path need; None needs no token."""


def needs(method: str, path: str) -> TokenScope | None:
    """Of the API: to change documents "write", else "read", but for `OPEN` and the site."""
    if path in OPEN or path.startswith(SITE):
        return None
    documents = path == _WRITES or path.startswith(f"{_WRITES}/")
    return "write" if documents and method not in ("GET", "HEAD") else "read"


class Admission:
    """These checks, of one server.

    Args:
        names: host names and addresses by which clients call the server, without ports.
        tokens: those that are accepted; None lets everybody ask.
        needs: which scope a request needs.
    """

    def __init__(
        self, names: Iterable[str], tokens: BearerTokenFile | None = None, needs: Needs = needs
    ) -> None:
        self._names = {_plain(name) for name in names}
        self._tokens = tokens
        self._needs = needs

    def check(self, scope: Scope) -> TokenScope:
        """Look at a request's head.

        Returns:
            What who asks may do: "write" where the server has no tokens, "read" where none was
            needed.

        Raises:
            ApiError: it may not come in.
        """
        headers = Headers(scope=scope)
        self._check_host(headers)
        return self._check_token(headers, scope.get("method", "GET"), scope["path"])

    def before(self, app: ASGIApp) -> ASGIApp:
        """An application protected by the checks."""

        async def checked(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                if scope["type"] != "lifespan":
                    self.check(scope)
            except ApiError as error:
                await error.response()(scope, receive, send)
            else:
                await app(scope, receive, send)

        return checked

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        name, port = _split(f"//{host}")
        if name not in self._names:
            raise ApiError(
                421,
                "unknown_host",
                "this server does not go by the name in the header Host; whoever runs it can "
                "allow the name",
            )
        origin = headers.get("origin")
        if origin is None:
            return
        usual = _PORTS.get(urlsplit(origin).scheme) if "://" in origin else None
        theirs_name, theirs_port = _split(origin)
        if (theirs_name, theirs_port or usual) != (name, port or usual):
            raise ApiError(403, "foreign_origin", "pages of another origin may not ask this server")

    def _check_token(self, headers: Headers, method: str, path: str) -> TokenScope:
        needed = self._needs(method, path)
        if self._tokens is None:
            return "write"
        if needed is None:
            return "read"
        kind, _, token = headers.get("authorization", "").partition(" ")
        found = self._tokens.scope(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            raise ApiError(
                401,
                "invalid_token",
                "send a token that this server accepts, in the header Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if needed == "write" and found != "write":
            raise ApiError(
                403,
                "read_only_token",
                "this token may only read; documents need one that may write",
            )
        return found


def _split(address: str) -> tuple[str, int | None]:
    """Name and port after "//"; an empty name if there is none."""
    try:
        found = urlsplit(address)
        plain = not (found.username or found.path or found.query or found.fragment)
        return (_plain(found.hostname or "") if plain else ""), found.port
    except ValueError:
        return "", None


def _plain(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]").removesuffix(".")
