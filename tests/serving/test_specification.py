"""Whatever the specification allows or forbids, the server answers as it says (schemathesis).

Requests are made from /openapi.json: right ones, and ones that break a rule. An answer must have a
status, a content type and a body that the specification names, and never be the server's failure;
without a token it must be a refusal.
"""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from live_server import listening
from schemathesis.specs.openapi.checks import (
    positive_data_acceptance,
    use_after_free,
)
from t1_command import NOTES, small_checkpoint

from thought1.index import Index
from thought1.serving.admission import Admission
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import Shelf, make_shelf
from thought1.serving.tokens import BearerTokenFile, add_token
from thought1.t1 import T1
from thought1.types import Document

LEFT_OUT = [
    # Fields that contradict each other (bm25 that thinks, a model that is not there) are refused,
    # which a schema of single fields cannot say.
    positive_data_acceptance,
    # Deleting is idempotent here: a document that is gone may be deleted again.
    use_after_free,
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server that asks for tokens, and a token that may write."""
    place = tmp_path_factory.mktemp("specification")
    model = T1.from_pretrained(small_checkpoint(place / "checkpoint", seed=3))
    index = Index.create(place / "notes.index", model)
    index.add(Document(i, text, metadata={"year": y, "lang": lang}) for i, text, y, lang in NOTES)
    metrics = Metrics()
    shelf = make_shelf(
        {"notes": index}, lambda one, name: Batcher(model, ModelMeter(metrics, name))
    )
    token = add_token(place / "tokens.json", "all", "write")
    admission = Admission(["127.0.0.1"], BearerTokenFile(place / "tokens.json"))
    with listening(create_app(shelf, metrics=metrics, admission=admission)) as url:
        yield url, token


# What the server specifies is the same whatever it serves.
schema = schemathesis.openapi.from_dict(create_app(Shelf({}, {})).openapi())


@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_specified(case: schemathesis.Case, address: tuple[str, str]) -> None:
    url, token = address
    headers = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=url, headers=headers, excluded_checks=LEFT_OUT, timeout=30)
