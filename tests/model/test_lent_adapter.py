"""An adapter that uses the updates of another checkpoint."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adapter_files import plain_adapter
from safetensors.torch import load_file, save_file
from tiny import TEXTS, make_checkpoint

from thought1.model.adapter import CONFIG, WEIGHTS
from thought1.model.settings import Base
from thought1.model.weights import hash_weights
from thought1.t1 import T1
from thought1.types import Thought1Error


@pytest.fixture
def lender(tmp_path: Path) -> Path:
    return plain_adapter(tmp_path / "lender", make_checkpoint(tmp_path / "base"))


@pytest.fixture
def borrower(lender: Path, tmp_path: Path) -> Path:
    """Nothing of its own but the settings."""
    folder = tmp_path / "borrower"
    folder.mkdir()
    shutil.copy(lender / CONFIG, folder)
    own = T1.from_pretrained(lender)
    base = own.checkpoint.base
    assert base is not None
    lent = Base(str(lender), hash_weights(lender))
    replace(own.settings, base=base, adapter=lent, max_query_tokens=64).save(folder)
    return folder


def test_it_is_the_lender_with_other_settings(lender: Path, borrower: Path) -> None:
    one, other = T1.from_pretrained(lender), T1.from_pretrained(borrower)
    assert other.settings.max_query_tokens == 64 != one.settings.max_query_tokens
    assert other.weights_hash == one.weights_hash
    assert np.array_equal(other.encode_document(TEXTS), one.encode_document(TEXTS))


def test_saved_it_needs_no_lender(lender: Path, borrower: Path, tmp_path: Path) -> None:
    model = T1.from_pretrained(borrower)
    before = model.encode_document(TEXTS)
    model.save_pretrained(tmp_path / "saved")
    shutil.rmtree(lender)
    assert "adapter" not in json.loads((tmp_path / "saved" / "t1.json").read_text())
    assert np.allclose(T1.from_pretrained(tmp_path / "saved").encode_document(TEXTS), before)


def refused(folder: Path) -> str:
    with pytest.raises(Thought1Error) as caught:
        T1.from_pretrained(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_lender_that_is_gone(lender: Path, borrower: Path) -> None:
    shutil.rmtree(lender)
    message = refused(borrower)
    assert f"uses the updates of {lender}, as its t1.json (adapter) says" in message
    assert "no such" in message


def test_a_lender_without_updates(lender: Path, borrower: Path) -> None:
    (lender / WEIGHTS).unlink()
    assert "holds no safetensors weights" in refused(borrower)


def test_a_lender_that_has_changed(lender: Path, borrower: Path) -> None:
    state = load_file(lender / WEIGHTS)
    save_file({name: value + 1 for name, value in state.items()}, lender / WEIGHTS)
    message = refused(borrower)
    assert f"uses the updates of {lender}, which have changed since" in message


@pytest.mark.parametrize("entry", ["text", {"model": "x"}, {"model": "", "hash": "y"}, 3])
def test_a_broken_entry(borrower: Path, entry: object) -> None:
    file = borrower / "t1.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "adapter": entry}))
    assert "t1.json" in refused(borrower)
