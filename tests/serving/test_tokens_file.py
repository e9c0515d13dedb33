"""Token files: what a server accepts, and what it refuses."""

import json
import os
from pathlib import Path

import pytest

from thought1.serving.tokens import BearerTokenFile, add_token, read_entries, remove_token
from thought1.types import Thought1Error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_token_has_the_scope_it_was_made_with(path: Path) -> None:
    reader, writer = add_token(path, "laptop", "read"), add_token(path, "import", "write")
    file = BearerTokenFile(path)
    assert len(file) == 2
    assert (file.scope(reader), file.scope(writer)) == ("read", "write")
    for other in ("", reader[:-1], reader + "x", reader.upper(), "t1_", "\udcff", "é"):
        assert file.scope(other) is None


def test_the_file_holds_no_token_and_is_its_owners_alone(path: Path) -> None:
    tokens = [add_token(path, f"n{i}", "read") for i in range(3)]
    assert len(set(tokens)) == 3
    content = path.read_text(encoding="utf-8")
    assert not any(token in content or token.removeprefix("t1_") in content for token in tokens)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_every_entry_is_compared_whichever_is_right(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No early exit: the time must not tell at which entry a token stands."""
    tokens = [add_token(path, f"n{i}", "read") for i in range(4)]
    file = BearerTokenFile(path)
    calls: list[int] = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: calls.append(1) or a == b, raising=True)
    for token in (*tokens, "t1_wrong"):
        calls.clear()
        file.scope(token)
        assert len(calls) == 4


def test_a_change_of_the_file_counts_at_once(path: Path) -> None:
    first = add_token(path, "first", "read")
    file = BearerTokenFile(path)
    second = add_token(path, "second", "write")
    assert file.scope(second) == "write"
    remove_token(path, "first")
    assert file.scope(first) is None
    assert len(file) == 1


@pytest.mark.parametrize("later", [None, "{", '{"format": 1}'])
def test_a_file_that_is_gone_or_broken_later_accepts_nobody(
    path: Path, later: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    token = add_token(path, "laptop", "write")
    file = BearerTokenFile(path)
    if later is None:
        path.unlink()
    else:
        path.write_text(later, encoding="utf-8")
        path.chmod(0o600)
    assert file.scope(token) is None
    assert file.scope(token) is None
    assert len([r for r in caplog.records if "no token is accepted" in r.message]) == 1
    assert token not in caplog.text
    path.unlink(missing_ok=True)
    again = add_token(path, "laptop", "read")
    assert file.scope(again) == "read"


def test_names_are_unique_and_printable(path: Path) -> None:
    add_token(path, "laptop", "read")
    with pytest.raises(Thought1Error, match="has a token named 'laptop' already"):
        add_token(path, "laptop", "write")
    for name in ("", "two\nlines"):
        with pytest.raises(Thought1Error, match="printable"):
            add_token(path, name, "read")
    with pytest.raises(Thought1Error, match="no token named 'phone'; it has: 'laptop'"):
        remove_token(path, "phone")


ENTRY = {"name": "a", "scope": "read", "sha256": "0" * 64, "created": "2026-11-27T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("not JSON", "is no token file"),
        (json.dumps([]), "format"),
        (json.dumps({"format": 2, "tokens": []}), "format"),
        (json.dumps({"format": 1}), "must be a list"),
        (json.dumps({"format": 1, "tokens": ["x"]}), "None is broken"),
        (json.dumps({"format": 1, "tokens": [ENTRY | {"scope": "admin"}]}), "'a' is broken"),
        (json.dumps({"format": 1, "tokens": [ENTRY | {"sha256": "plain"}]}), "'a' is broken"),
        (json.dumps({"format": 1, "tokens": [ENTRY | {"more": "x"}]}), "'a' is broken"),
    ],
)
def test_what_is_no_token_file_is_refused(path: Path, content: str, problem: str) -> None:
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(Thought1Error, match=problem):
        BearerTokenFile(path)


def test_a_missing_file_is_told_how_to_make(path: Path) -> None:
    with pytest.raises(Thought1Error, match="t1 tokens add FILE NAME"):
        BearerTokenFile(path)
    with pytest.raises(Thought1Error, match="cannot be read"):
        read_entries(path.parent)


@pytest.mark.skipif(os.name != "posix", reason="permissions of files")
def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    add_token(path, "laptop", "read")
    path.chmod(0o620)
    with pytest.raises(Thought1Error, match="chmod 600"):
        BearerTokenFile(path)
