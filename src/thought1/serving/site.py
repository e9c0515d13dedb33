"""GET /docs/...: the files of one folder, such as this documentation built as a site.

They are whatever whoever runs the server put there, for everybody who reaches it, under a policy
that lets them load nothing from elsewhere. Nothing outside of the folder is served, links included.
"""

from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from thought1.serving import static_page
from thought1.types import Thought1Error

HEADERS = {
    **static_page.HEADERS,
    # No Trusted Types: the scripts of the theme of this documentation read markup of their own.
    # `data:` for its icons, which are drawings inside of its style sheet.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


class Site(StaticFiles):
    """A folder as an application, for `app.mount`.

    Raises:
        Thought1Error: there is no such folder, or no page to begin with.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "index.html").is_file():
            raise Thought1Error(f"no site at {folder}: there is no index.html in it")
        super().__init__(directory=folder, html=True, follow_symlink=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, `index.html` of a folder, or a redirection from a folder's name to it."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response
