"""What the tests of whole trainings share: one folder of data and bases for each file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from reason_recipe import make_thinking_room
from small_recipe import without_gpu


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data with thoughts and evidence, two bases and held-out ids; without a GPU while in use."""
    with without_gpu():
        yield make_thinking_room(tmp_path_factory.mktemp("room"))
