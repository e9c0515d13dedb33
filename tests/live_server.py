"""A server on loopback, in this process: a real socket for real clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from thought1.serving.address import Address


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The address of an application that answers, until the block ends."""
    address = Address(port=0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    with address.bind() as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        try:
            yield address.url(socket)
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive(), "the server did not end"
