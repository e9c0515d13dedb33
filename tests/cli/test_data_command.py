"""`t1 data`: what it prints, how it ends; the originals come from a file server on this machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from public_home import PublicHome, public_home
from t1_command import T1Command

ROWS = b"question\tanswer\n"
CATALOGUE = """
[[set]]
name = "{name}"
title = "a file"
licence = "MIT"
home = "https://example.org/{name}"
converter = "copy"
checked = "compared by hand"
[[set.sources]]
address = "https://example.org/{name}/{{name}}"
names = ["train.tsv"]
max_mib = 1
[set.results]
"train.tsv" = "{sha256}"
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PublicHome]:
    sha256 = hashlib.sha256(ROWS).hexdigest()
    tables = [CATALOGUE.format(name=name, sha256=sha256) for name in ("first", "second")]
    (tmp_path / "catalogue.toml").write_text("".join(tables))
    monkeypatch.setattr("thought1.data.public.catalogue.CATALOGUE", tmp_path / "catalogue.toml")
    monkeypatch.setattr("thought1.data.public.download.PAUSE_SECONDS", 0.0)
    with public_home() as served:
        served.files = {f"example.org/{name}/train.tsv": ROWS for name in ("first", "second")}
        yield served


def test_all_sets_are_made_and_then_there(t1: T1Command, home: PublicHome, tmp_path: Path) -> None:
    to = tmp_path / "data"
    ran = t1("data", "get", "all", "--to", to, "--mirror", home.url)
    assert ran.code == 0
    assert ran.out == "".join(
        f"{to}/{name}: made from https://example.org/{name}, every hash as expected\n"
        for name in ("first", "second")
    )
    assert ran.err.splitlines()[0] == "first: MIT; compared by hand"
    assert (to / "second" / "train.tsv").read_bytes() == ROWS
    again = t1("data", "get", "first", "--to", to, "--mirror", home.url)
    assert (again.code, again.out, again.err) == (0, f"{to}/first: already there\n", "")
    assert len(home.asked) == 2


def test_a_changed_set_ends_with_2_unless_accepted(
    t1: T1Command, home: PublicHome, tmp_path: Path
) -> None:
    home.files["example.org/first/train.tsv"] = b"other\n"
    get = ("data", "get", "first", "--to", tmp_path, "--mirror", home.url)
    assert t1(*get).error() == (
        "error: not the first that was trained on (train.tsv): upstream has changed, or the "
        f"conversion is not the same; kept in {tmp_path}/first.changed, and --accept-changed puts "
        "it in place"
    )
    ran = t1(*get, "--accept-changed")
    assert (ran.code, ran.out) == (
        0,
        f"{tmp_path}/first: made from https://example.org/first, "
        "not the files that were trained on\n",
    )
    assert "warning: not the first that was trained on (train.tsv)" in ran.err
    again = t1(*get, "--accept-changed")
    assert again.out.endswith("already there, though not the files that were trained on\n")


def test_one_set_that_fails_does_not_stop_the_others(
    t1: T1Command, home: PublicHome, tmp_path: Path
) -> None:
    del home.files["example.org/first/train.tsv"]
    ran = t1("data", "get", "all", "--to", tmp_path, "--mirror", home.url)
    assert ran.code == 2
    assert ran.out.startswith(f"{tmp_path}/second: made")
    assert "first: http" in ran.err and "the server answers 404" in ran.err
    assert ran.err.splitlines()[-1] == "error: not written, see above: first"


def test_what_cannot_work_is_said(t1: T1Command, home: PublicHome, tmp_path: Path) -> None:
    assert "named 'third'; known: first, second, all" in t1("data", "get", "third").error()
    get = ("data", "get", "first", "--to", tmp_path / "x")
    assert "no answer" in t1(*get, "--mirror", "http://127.0.0.1:1").error()
    assert "must begin with http" in t1(*get, "--mirror", "ftp://example.org").error()
    (tmp_path / "x" / "first").mkdir(parents=True)
    assert "move it away" in t1(*get, "--mirror", home.url).error()
    (tmp_path / "file").write_text("")
    onto_a_file = ("--to", tmp_path / "file", "--mirror", home.url)
    assert "cannot be written" in t1("data", "get", "first", *onto_a_file).error()


def test_the_list(t1: T1Command, home: PublicHome) -> None:
    table = t1("data", "list").out
    assert "first" in table and "MIT" in table and "{" not in table
    rows = t1("data", "list", "--json").json()
    assert [row["name"] for row in rows] == ["first", "second"]
    assert rows[0]["files"] == {"train.tsv": hashlib.sha256(ROWS).hexdigest()}


def test_the_real_list_names_every_set(t1: T1Command) -> None:
    names = [row["name"] for row in t1("data", "list", "--json").json()]
    assert names == ["entailmentbank", "cot_flan", "strategyqa", "openstax", "wordnet", "books"]
