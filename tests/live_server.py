"""A server on loopback, in this process: a real socket for real clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from t1_command import NOTES

from thought1.files.bounded import BoundedFile
from thought1.index import Index
from thought1.serving.address import Address
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.t1 import T1
from thought1.types import Document


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


def notes_index(folder: Path, model: Any) -> Index:
    """A new index of the notes, without metadata."""
    index = Index.create(folder, model)
    index.add(Document(id_, text) for id_, text, _, _ in NOTES)
    return index


def notes_app(folder: Path, model: T1, kept: BoundedFile | None = None, **options: Any) -> FastAPI:
    """A server's application over such an index; `options` are those of `create_app`."""
    metrics = Metrics()
    shelf = make_shelf(
        {"notes": notes_index(folder, model)},
        lambda _index, name: Batcher(model, ModelMeter(metrics, name)),
        kept=kept,
    )
    return create_app(shelf, metrics=metrics, **options)


@contextmanager
def serving_notes(folder: Path, model: T1, **options: Any) -> Iterator[httpx.Client]:
    """A client of such a server."""
    with (
        listening(notes_app(folder, model, **options)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client
