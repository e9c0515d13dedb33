"""A file server on this machine that plays the public homes of data, with their failures."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PublicHome:
    """What a server answers, by path, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.failures: dict[str, list[int]] = {}
        """Codes to answer with first, one a request."""
        self.lengths: dict[str, int | None] = {}
        """Content-Length to announce instead of the true one; None announces none."""
        self.retry_after = 0
        self.asked: list[str] = []
        self.url = ""


@contextmanager
def public_home() -> Iterator[PublicHome]:
    home = PublicHome()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/")
            home.asked.append(path)
            codes = home.failures.get(path, [])
            if codes or path not in home.files:
                self.send_response(codes.pop(0) if codes else 404)
                self.send_header("Retry-After", str(home.retry_after))
                self.end_headers()
                return
            body = home.files[path]
            length = home.lengths.get(path, len(body))
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    home.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield home
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
