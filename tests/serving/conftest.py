"""Tiny models, of which the tests of one process share one for each architecture."""

from collections.abc import Callable
from functools import cache

import pytest
from t1_command import small_checkpoint
from tiny import make_checkpoint

from thought1.t1 import T1


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny T1 that thinks eight tokens."""
    return small_checkpoint(tmp_path_factory.mktemp("serving"), seed=3)


@pytest.fixture(scope="session")
def model(checkpoint: str) -> T1:
    """What is expected is computed by this copy: a server's has a thread of its own."""
    return T1.from_pretrained(checkpoint)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], T1]:
    """A tiny model of an architecture."""

    @cache
    def load(architecture: str) -> T1:
        folder = tmp_path_factory.mktemp("serving") / architecture
        return T1.from_pretrained(make_checkpoint(folder, architecture))

    return load
