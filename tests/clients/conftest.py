"""One small index, in this process and behind a server that asks for a token."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from live_server import listening
from t1_command import NOTES, small_checkpoint

from thought1.index import Index
from thought1.serving.admission import Admission
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.serving.tokens import BearerTokenFile, add_token
from thought1.t1 import T1
from thought1.types import Document

TITLED = Document("kettle", "It hums.", "A kettle", {"year": 2021, "title": "replaced"})


class Served(NamedTuple):
    local: Index
    url: str
    token: str

    @property
    def remote(self) -> dict[str, Any]:
        """The arguments of every retriever over the server."""
        return {"url": self.url, "index_name": "notes", "token": self.token}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place: Path = tmp_path_factory.mktemp("clients")
    folder = small_checkpoint(place / "checkpoint", seed=3)
    model, metrics = T1.from_pretrained(folder), Metrics()
    indexes = {name: Index.create(place / f"{name}.index", model) for name in ("notes", "other")}
    notes = [Document(i, text, metadata={"year": y, "lang": lang}) for i, text, y, lang in NOTES]
    indexes["notes"].add([*notes, TITLED])
    token = add_token(place / "tokens.json", "tests", "read")
    shelf = make_shelf(indexes, lambda _index, name: Batcher(model, ModelMeter(metrics, name)))
    admission = Admission(["127.0.0.1"], BearerTokenFile(place / "tokens.json"))
    with listening(create_app(shelf, metrics=metrics, admission=admission)) as url:
        # The server's model has a thread of its own, so what is searched here has a copy.
        local = Index.open(place / "notes.index", T1.from_pretrained(folder))
        yield Served(local, url, token)


@pytest.fixture(params=["local", "remote"])
def searched(request: pytest.FixtureRequest, served: Served) -> dict[str, Any]:
    """What a retriever is told to search: each way in turn."""
    return {"index": served.local} if request.param == "local" else served.remote
