"""`t1 models`: the list, and getting what a model needs."""

import pytest
from t1_command import T1Command

from thought1 import inventory


def test_the_list(t1: T1Command) -> None:
    found = t1("models", "--json").json()["models"]
    assert found[0]["name"] == "t1-nano"
    assert "t1-nano" in t1("models").out


def test_get(t1: T1Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "all that it needs is there" in t1("models", "get", "t1-nano").out
    assert "no bundled model" in t1("models", "get", "nothing").error()
    ran = []
    monkeypatch.setattr(inventory, "commands", lambda _: [["pip", "install", "x"]])
    monkeypatch.setattr(inventory, "install", ran.append)
    assert "pip install x" in t1("models", "get", "t1-nano", "--yes").out
    assert ran == [[["pip", "install", "x"]]]
    refused = t1("models", "get", "t1-nano", stdin=b"n\n")
    assert refused.code == 2 and "nothing was installed" in refused.err
    assert len(ran) == 1
