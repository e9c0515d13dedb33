"""A folder of texts as a person keeps one: indexed, changed, indexed again, cleaned up."""

from pathlib import Path

import numpy as np
import pytest
from t1_command import T1Command, small_checkpoint, write_lines

from thought1.index import Index
from thought1.t1 import T1

LONG = "\n\n".join(f"Step {n}: gateway zebra{n} needs the certificate {n}." for n in range(60))


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def ids(t1: T1Command, index: Path, question: str, *flags: str) -> set[str]:
    found = t1("search", index, question, "--mode", "bm25", "--json", *flags).json()
    return {hit["id"] for hit in found["results"][0]["hits"]}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "notes.index"


def test_an_index_follows_its_folder(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    notes = write(tmp_path / "notes", vpn_md=f"# VPN\n\n{LONG}", gone_md="# Gone\n\nThe quokka.")
    first = t1("index", notes, "-o", index, "--model", model)
    assert first.code == 0
    assert "0 removed" in first.out
    assert ids(t1, index, "zebra50")
    write(notes, vpn_md="# VPN\n\nUse the new gateway.", lunch_md="# Lunch\n\nSoup.")
    (notes / "gone.md").unlink()
    again = t1("index", notes, "-o", index)
    assert again.code == 0
    removed = int(again.out.split(" removed")[0].rsplit(" ", 1)[1])
    assert removed > 1
    assert "2 documents (1 added, 0 unchanged, 1 replaced" in again.out
    assert ids(t1, index, "zebra50") == ids(t1, index, "quokka") == set()
    assert ids(t1, index, "gateway") == {"vpn.md#0"}


def test_what_came_from_elsewhere_stays(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    one = write(tmp_path / "one", a_md="alpha", b_md="beta")
    two = write(tmp_path / "two", c_md="gamma")
    rows = write_lines(tmp_path / "rows.jsonl", [{"_id": "r", "text": "rho"}])
    for corpus in (one, two, rows):
        assert t1("index", corpus, "-o", index, "--model", model).code == 0
    (one / "b.md").unlink()
    assert "1 removed" in t1("index", one, "-o", index).out
    assert ids(t1, index, "alpha beta gamma rho") == {"a.md#0", "c.md#0", "r"}
    # Another corpus follows only where that is asked for.
    write_lines(rows, [{"_id": "s", "text": "sigma"}])
    assert t1("index", rows, "-o", index).code == 0
    assert ids(t1, index, "rho sigma") == {"r", "s"}
    assert "1 removed" in t1("index", rows, "-o", index, "--prune").out
    assert ids(t1, index, "alpha gamma rho sigma") == {"a.md#0", "c.md#0", "s"}
    (one / "a.md").write_text("new words")
    write(one, d_md="delta")
    (one / "a.md").unlink()
    assert "removed" not in t1("index", one, "-o", index, "--no-prune").out
    assert ids(t1, index, "alpha delta") == {"a.md#0", "d.md#0"}


def test_two_folders_with_files_of_one_name_do_not_take_turns(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    one, two = write(tmp_path / "one", a_md="alpha"), write(tmp_path / "two", a_md="beta")
    assert t1("index", one, "-o", index, "--model", model).code == 0
    assert "create a separate index for each" in t1("index", two, "-o", index).error()
    assert ids(t1, index, "alpha beta") == {"a.md#0"}


def test_an_index_that_moved_follows_its_folder_still(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    notes = write(tmp_path / "notes", vpn_md=LONG)
    assert t1("index", notes, "-o", index, "--model", model).code == 0
    moved = write(tmp_path / "deep" / "er", vpn_md="# VPN\n\nshort")
    (notes / "vpn.md").unlink()
    notes.rmdir()
    index.rename(tmp_path / "moved.index")
    assert t1("index", moved, "-o", tmp_path / "moved.index").code == 0
    assert ids(t1, tmp_path / "moved.index", "zebra50") == set()


def test_rows_with_fields_of_these_names_are_rows(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    rows = [{"_id": n, "text": n, "folder": "mail", "source": "imap"} for n in ("rho", "sigma")]
    corpus = write_lines(tmp_path / "rows.jsonl", rows)
    assert t1("index", corpus, "-o", index, "--model", model).code == 0
    write_lines(corpus, rows[1:])
    assert "1 removed" in t1("index", corpus, "-o", index, "--prune").out
    assert ids(t1, index, "rho sigma") == {"sigma"}


def test_what_cannot_be_read_this_time_stays(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    notes = write(tmp_path / "notes", a_md="alpha", b_md="beta")
    assert t1("index", notes, "-o", index, "--model", model).code == 0
    (notes / "b.md").write_bytes(b"\xff\xfe broken")
    assert "not valid UTF-8" in t1("index", notes, "-o", index).error()
    assert t1("index", notes, "-o", index, "--skip-bad").code == 0
    assert ids(t1, index, "alpha beta") == {"a.md#0", "b.md#0"}
    for path in notes.iterdir():
        path.unlink()
    assert "without a usable file" in t1("index", notes, "-o", index).error()
    assert ids(t1, index, "alpha beta") == {"a.md#0", "b.md#0"}


def test_documents_can_be_deleted(t1: T1Command, tmp_path: Path, index: Path, model: str) -> None:
    notes = write(tmp_path / "notes", vpn_md=LONG, soup_md="soup", tea_md="tea")
    assert t1("index", notes, "-o", index, "--model", model).code == 0
    ran = t1("delete", index, "soup.md#0", "never.md#0")
    assert (ran.code, "1 deleted, 1 not there" in ran.out) == (0, True)
    passages = len(ids(t1, index, "gateway", "-k", "100"))
    assert passages > 1
    assert f"{passages} deleted, 0 not there; 1 documents left" in (
        t1("delete", index, "--source", "vpn.md").out
    )
    assert "none of them is in the index" in t1("delete", index, "soup.md#0").error()
    assert "name the ids" in t1("delete", index).error()
    assert ids(t1, index, "tea") == {"tea.md#0"}


def test_what_is_passed_over_is_told(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    notes = write(
        tmp_path / "set",
        README_md="# Card\n\nA card.",
        data__part1_jsonl='{"_id": "a", "text": "b"}',
        docs__guide_rst="Guide\n=====\n\nReStructured words.",
        docs__page_mdx="# Page\n\nMarkdown with parts.",
        docs__manual_pdf="%PDF",
        docs__empty_txt="",
    )
    (notes / ".git").mkdir()
    ran = t1("index", notes, "-o", index, "--model", model)
    assert ran.code == 0
    assert "3 documents" in ran.out
    assert "4 passed over" in ran.out
    for line in (
        "1 .jsonl (rows, not a text: index it by its own name)",
        "1 .pdf (not a kind of text that is read)",
        "1 .txt (without any text)",
        "1 folder (hidden)",
    ):
        assert line in ran.err
    shards = write(tmp_path / "shards", a_jsonl='{"_id": "a", "text": "x"}')
    write(shards, b_jsonl='{"_id": "b", "text": "y"}')
    assert "2 documents" in t1("index", shards, "-o", tmp_path / "s", "--model", model).out


def test_front_matter_is_no_text(t1: T1Command, tmp_path: Path, index: Path, model: str) -> None:
    notes = write(
        tmp_path / "notes",
        backup_md="---\n# a remark\ntitle: Backup tapes\ntags: [ops, tapes]\nsource: mine\n"
        "date: 2024-05-01\n---\nKeys lie in the safe.\n",
        broken_md="---\ntitle: [never closed\n---\nBroken words.",
    )
    ran = t1("index", notes, "-o", index, "--model", model)
    assert ran.code == 0
    assert "the field 'source' is left out" in ran.err
    assert "no valid YAML" in ran.err
    found = t1("search", index, "keys remark", "--mode", "bm25", "--json").json()
    (hit,) = found["results"][0]["hits"]
    assert (hit["title"], hit["text"]) == ("Backup tapes", "Keys lie in the safe.")
    content = (notes / "backup.md").read_text()
    start, end = hit["metadata"]["start"], hit["metadata"]["end"]
    assert content[start:end] == hit["text"]
    assert ids(t1, index, "keys", "--where", "date>=2024") == {"backup.md#0"}
    assert ids(t1, index, "broken words") == {"broken.md#0"}


def test_every_passage_fits_the_model(
    t1: T1Command, tmp_path: Path, index: Path, model: str
) -> None:
    notes = write(tmp_path / "notes", vpn_md=f"# VPN\n\n## Linux\n\n{LONG}\n\n## Windows\n\nNo.")
    ran = t1("index", notes, "-o", index, "--model", model)
    assert ", 0 truncated" in ran.out
    loaded = T1.from_pretrained(model)
    whole = len(Index.open(index, loaded))
    assert whole > 1
    found = t1("search", index, "zebra55", "--mode", "bm25", "--json").json()
    assert found["results"][0]["hits"][0]["title"] == "VPN > Linux"
    short = tmp_path / "short.index"
    ran = t1("index", notes, "-o", short, "--model", model, "--passage-tokens", "60")
    assert ", 0 truncated" in ran.out
    assert len(Index.open(short, loaded)) > whole
    overlapping = tmp_path / "overlapping.index"
    flags = ("--passage-tokens", "60", "--overlap", "25")
    assert t1("index", notes, "-o", overlapping, "--model", model, *flags).code == 0
    assert len(ids(t1, overlapping, "zebra30")) >= len(ids(t1, short, "zebra30")) == 1

    def refused(*flags: str) -> str:
        return t1("index", notes, "-o", tmp_path / "no", "--model", model, *flags).error()

    assert "tokens of a text that the model reads" in refused("--passage-tokens", "100000")
    assert "an overlap of 40 does not fit" in refused("--passage-tokens", "60", "--overlap", "40")
    rows = write_lines(tmp_path / "rows.jsonl", [{"_id": "r", "text": "rho"}])
    message = t1("index", rows, "-o", tmp_path / "no", "--model", model, *flags).error()
    assert "need a folder of texts to split" in message
    assert not (tmp_path / "no").exists()


# -- vectors that are there already ----------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [{"_id": f"d{n}", "title": "Note", "text": f"note about {n}"} for n in range(50)]
    return write_lines(tmp_path / "rows.jsonl", rows)


def test_given_vectors_are_taken_over(
    t1: T1Command,
    tmp_path: Path,
    index: Path,
    model: str,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = tmp_path / "rows.npy"
    embedded = t1(
        "embed", "--type", "document", "--input", corpus, "--output", vectors, "--model", model
    )
    assert embedded.code == 0
    usual = tmp_path / "usual.index"
    assert t1("index", corpus, "-o", usual, "--model", model).code == 0

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the corpus was encoded")

    monkeypatch.setattr("thought1.t1.T1.encode_document_stream", fail)
    np.save(vectors, np.load(vectors).astype(np.float16))
    flags = ("--vectors", str(vectors), "--encoder", model)
    ran = t1("index", corpus, "-o", index, *flags)
    assert (ran.code, "50 documents (50 added" in ran.out) == (0, True), ran.err
    ask = ("note about 7", "--mode", "dense", "--no-think", "--json")
    hits = [t1("search", where, *ask).json()["results"][0]["hits"] for where in (usual, index)]
    assert [hit["id"] for hit in hits[0]] == [hit["id"] for hit in hits[1]]
    assert "50 unchanged" in t1("index", corpus, "-o", index, *flags).out


def test_vectors_of_something_else_are_refused(
    t1: T1Command, tmp_path: Path, index: Path, model: str, corpus: Path
) -> None:
    own = np.asarray(
        T1.from_pretrained(model).encode_document([f"Note\nnote about {n}" for n in range(50)])
    )
    file = tmp_path / "v.npy"

    def refused(vectors: object, *flags: str) -> str:
        np.save(file, vectors)
        flags = flags or ("--encoder", model)
        message = t1("index", corpus, "-o", index, "--vectors", file, *flags).error()
        assert not index.exists()
        return message

    assert "49 rows, but the corpus 50 documents" in refused(own[:49])
    assert "has length 2, not 1: normalise" in refused(2 * own)
    assert "the rows belong to other documents" in refused(own[::-1])
    other = small_checkpoint(tmp_path / "other", seed=5)
    assert "they were made by another encoder" in refused(own, "--encoder", other)
    assert "dimensions, but vectors of the encoder" in refused(own[:, :16] / 0.5)
    assert "give decimal numbers" in refused(np.zeros(50, int))
    assert "belong together" in refused(own, "--model", model)
    bad = own.copy()
    bad[33] *= 1.5
    assert "row 33 of" in refused(bad)  # whichever rows are encoded again
    np.savez(tmp_path / "v.npz", own)
    message = t1(
        "index", corpus, "-o", index, "--vectors", tmp_path / "v.npz", "--encoder", model
    ).error()
    assert "holds several arrays" in message
    file.write_text("no array")
    message = t1("index", corpus, "-o", index, "--vectors", file, "--encoder", model).error()
    assert "cannot be read as a .npy file" in message
