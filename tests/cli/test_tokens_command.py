"""`t1 tokens`: a token is shown once, and the file never holds it."""

from pathlib import Path

from t1_command import T1Command

from thought1.serving.tokens import BearerTokenFile


def test_a_token_is_made_listed_and_removed(t1: T1Command, tmp_path: Path) -> None:
    file = str(tmp_path / "tokens.json")
    made = t1("tokens", "add", file, "laptop")
    token = made.out.strip()
    assert made.code == 0
    assert token not in made.err
    assert "only its hash" in made.err
    assert BearerTokenFile(Path(file)).scope(token) == "read"
    other = t1("tokens", "add", file, "import", "--scope", "write", "--json").json()
    assert BearerTokenFile(Path(file)).scope(other["token"]) == "write"
    listed = t1("tokens", "list", file)
    assert [line.split("\t")[:2] for line in listed.out.splitlines()] == [
        ["laptop", "read"],
        ["import", "write"],
    ]
    rows = t1("tokens", "list", file, "--json").json()["tokens"]
    assert [sorted(row) for row in rows] == [["created", "name", "scope"]] * 2
    assert t1("tokens", "remove", file, "laptop").code == 0
    assert BearerTokenFile(Path(file)).scope(token) is None


def test_what_is_wrong_is_told(t1: T1Command, tmp_path: Path) -> None:
    file = str(tmp_path / "tokens.json")
    assert "t1 tokens add FILE NAME" in t1("tokens", "list", file).error()
    t1("tokens", "add", file, "laptop")
    assert "already" in t1("tokens", "add", file, "laptop").error()
    assert "no token named 'phone'" in t1("tokens", "remove", file, "phone").error()
    missing = t1("tokens", "add", str(tmp_path / "tokens.json" / "below"), "x")
    assert "cannot be written" in missing.error() or "cannot be read" in missing.error()
