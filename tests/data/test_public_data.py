"""Training sets from their public homes: catalogue, conversions, download, putting in place."""

import errno
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from public_home import PublicHome, public_home

from thought1.data.public import entailmentbank, textbooks, wordnet
from thought1.data.public.build import CONVERTERS, get_set
from thought1.data.public.catalogue import Original, PublicSet, choose, load_catalogue
from thought1.data.public.download import Downloads, fetch
from thought1.data.public.files import content_hash, read_archive
from thought1.types import Thought1Error

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[PublicHome]:
    monkeypatch.setattr("thought1.data.public.download.PAUSE_SECONDS", 0.0)
    with public_home() as served:
        yield served


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def json_lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def plain_set(content: bytes = b"one\n", **changes: Any) -> PublicSet:
    """A set of one file that is taken as it is."""
    original = Original("b.tsv", "https://example.org/data/b.tsv", 100)
    given: dict[str, Any] = {
        "name": "plain",
        "title": "a file",
        "licence": "none",
        "home": "https://example.org",
        "converter": "copy",
        "checked": "by hand",
        "originals": (original,),
        "results": {"b.tsv": sha256(content)},
    }
    return PublicSet(**given | changes)


# The catalogue


def test_the_catalogue_is_complete() -> None:
    catalogue = load_catalogue()
    sets = ["entailmentbank", "cot_flan", "strategyqa", "openstax", "wordnet", "books"]
    assert list(catalogue) == sets
    assert len(catalogue["openstax"].originals) == 1065
    assert len(catalogue["books"].originals) == 154
    for public in catalogue.values():
        names = [original.name for original in public.originals]
        assert len(set(names)) == len(names)
        assert public.converter in CONVERTERS and public.licence and public.checked
        assert all(re.fullmatch("[0-9a-f]{64}", sha) for sha in public.results.values())
        for original in public.originals:
            assert re.fullmatch(r"https://[!-~]+", original.address) and original.max_bytes > 0
            pinned = re.search(r"/[0-9a-f]{40}/|/releases/download/", original.address)
            assert pinned or public.name == "cot_flan"


def test_names_are_chosen_once_and_unknown_ones_refused() -> None:
    catalogue = load_catalogue()
    chosen = choose(["books", "strategyqa", "books"], catalogue)
    assert [public.name for public in chosen] == ["books", "strategyqa"]
    assert choose(["books", "all"], catalogue) == list(catalogue.values())
    with pytest.raises(Thought1Error, match="named 'boks'; known: entailmentbank, cot_flan"):
        choose(["boks"], catalogue)


@pytest.mark.parametrize("name", ["entailmentbank", "cot_flan", "strategyqa", "openstax"])
def test_the_hashes_are_those_of_the_sets_at_hand(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("no public data sets beside the checkout")
    for file, expected in load_catalogue()[name].results.items():
        assert content_hash(SHARED / name / file) == expected


# The conversions


def tree(name: str, facts: list[str], proof: str) -> dict[str, Any]:
    return {
        "id": name,
        "question": f"{name}?",
        "answer": f"{name}!",
        "hypothesis": f"{name} holds",
        "proof": proof,
        # In this order on purpose: sent10 comes after sent2.
        "meta": {"triples": {f"sent{i}": fact for i, fact in reversed([*enumerate(facts, 1)])}},
    }


def entailmentbank_originals(folder: Path) -> None:
    table = {
        "ET_addon:0": "DUMMY",
        "ET_addon:1": "Ice is cold",
        "u-1": "ice is, cold",  # the same words: left out
        "u-2": "El niño is warm",
    }
    many = ["Ice is cold.", *(f"fact {i}" for i in range(2, 10)), "ice is  cold", "el niño is warm"]
    train = tree("A", many, "sent1 & sent2 -> int1: cold; warm too; int1 -> hypothesis; ")
    dev = tree("B", ["fact 3", "new"], "sent1 & sent2 -> hypothesis; ")
    test = tree("SECRET", ["fact 4", "leaf of the test split"], "sent1 & sent2 -> hypothesis; ")
    for split, row in (("train", train), ("dev", dev), ("test", test)):
        (folder / f"{split}.jsonl").write_bytes(json_lines(row))
    (folder / "worldtree_corpus_sentences_extended.json").write_text(json.dumps(table))


def test_entailmentbank_becomes_a_beir_folder(tmp_path: Path) -> None:
    entailmentbank_originals(tmp_path)
    target = tmp_path / "made"
    target.mkdir()
    entailmentbank.convert(tmp_path, target)

    corpus = (target / "corpus.jsonl").read_text()
    assert corpus.splitlines()[1] == r'{"_id": "u-2", "title": "", "text": "El ni\u00f1o is warm"}'
    texts = {row["_id"]: row["text"] for row in map(json.loads, corpus.splitlines())}
    added = {f"EBX:{i}": f"fact {i + 2}" for i in range(8)}
    kept = {"ET_addon:1": "Ice is cold", "u-2": "El niño is warm"}
    assert texts == kept | added | {"EBX:8": "new", "EBX:9": "leaf of the test split"}

    relevant = ["ET_addon:1", *added, "u-2"]  # once each
    head = "query-id\tcorpus-id\tscore\n"
    lines = "".join(f"train:A\t{document}\t1\n" for document in relevant)
    assert (target / "qrels/train.tsv").read_text() == head + lines
    assert (target / "qrels/dev.tsv").read_text() == f"{head}dev:B\tEBX:1\t1\ndev:B\tEBX:8\t1\n"
    assert (target / "queries.jsonl").read_bytes() == json_lines(
        {"_id": "train:A", "text": "A?"}, {"_id": "dev:B", "text": "B?"}
    )
    thought = json.loads((target / "thoughts.jsonl").read_text().splitlines()[0])
    assert thought["conclusions"] == ["cold; warm too"]
    assert thought["facts"][8:] == ["fact 9", "ice is  cold", "el niño is warm"]
    assert thought["proof"].endswith("hypothesis;")


def test_of_the_test_split_no_question_is_written(tmp_path: Path) -> None:
    entailmentbank_originals(tmp_path)
    target = tmp_path / "made"
    target.mkdir()
    entailmentbank.convert(tmp_path, target)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert not any("SECRET" in path.read_text() for path in files)


MODULE = """---
title: "Fluids"
---

<cnx-pi data-type="cnx.eoc">class="summary"</cnx-pi>

 ![A swimmer.](../a.jpg "By hand. (credit: someone)"){: #one height="244"}

A **fluid**{: data-type="term"} of H<sub>2</sub>O; see [Statics](/m1).
<!-- <p>left</p> -->
"""
CONVERTED = """---
title: "Fluids"
---

 class="summary" 

 ")

A **fluid** of H 2 O; see [Statics](/m1).
 left -->
"""  # noqa: W291


def test_openstax_loses_its_mark_up(tmp_path: Path) -> None:
    (tmp_path / "physics-book").mkdir()
    (tmp_path / "physics-book" / "m1.md").write_text(MODULE)
    textbooks.convert_openstax(tmp_path, tmp_path, ["physics-book/m1.md"])
    row = json.loads(gzip.decompress((tmp_path / "modules.jsonl.gz").read_bytes()))
    assert row == {
        "repo": "philschatz+physics-book",
        "path": "contents/m1.md",
        "text": CONVERTED,
    }


def test_books_keep_order_and_line_ends(tmp_path: Path) -> None:
    for name, text in (("b.md", "# B\n\r\nüber\r\n"), ("a.md", "A")):
        (tmp_path / name).write_bytes(text.encode())
    textbooks.convert_books(tmp_path, tmp_path, ["b.md", "a.md"])
    packed = (tmp_path / "classics.jsonl.gz").read_bytes()
    expected = '{"path": "b.md", "text": "# B\\n\\r\\nüber\\r\\n"}\n{"path": "a.md", "text": "A"}\n'
    assert gzip.decompress(packed).decode() == expected
    assert content_hash(tmp_path / "classics.jsonl.gz") == sha256(expected.encode())
    textbooks.convert_books(tmp_path, tmp_path, ["b.md", "a.md"])
    assert (tmp_path / "classics.jsonl.gz").read_bytes() == packed  # no time within


def zipped(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_wordnet_becomes_a_line_for_each_synset(tmp_path: Path) -> None:
    rain = {
        "definition": ["falling water", "drops"],
        "example": ["it rains", {"source": "a book", "text": "é"}],
        "hypernym": ["1-n"],
        "ili": "i1",
        "members": ["rain"],
        "partOfSpeech": "n",
    }
    bare = {"definition": ["being"], "members": ["thing", "entity"], "partOfSpeech": "n"}
    content = {"frames.json": "{}", "entries-r.json": '{"rain": {}}'}
    content["noun.weather.json"] = json.dumps({"2-n": rain, "1-n": bare})
    content["adj.all.json"] = json.dumps({"9-a": bare | {"partOfSpeech": "a"}})
    (tmp_path / "english-wordnet-2025-json.zip").write_bytes(zipped(content))
    wordnet.convert(tmp_path, tmp_path)
    lines = gzip.decompress((tmp_path / "synsets.jsonl.gz").read_bytes()).decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["9-a", "1-n", "2-n"]
    assert lines[2] == (
        '{"id": "2-n", "members": ["rain"], "pos": "n", "definition": "falling water; drops", '
        '"examples": ["it rains", "é"], "hypernyms": ["1-n"]}'
    )


@pytest.mark.parametrize("name", ["../up.json", "/root.json", "a/../../up.json", "C:\\x.json"])
def test_an_archive_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({name: "{}"}))
    with pytest.raises(Thought1Error, match=r"a\.zip is refused: .*leads out of it"):
        list(read_archive(tmp_path / "a.zip", 100))


def test_broken_and_bloated_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"big.json": "0" * 101}))
    with pytest.raises(Thought1Error, match=r"big\.json in it is larger than 100 bytes"):
        list(read_archive(path, 100))
    whole = zipped({"x.json": "".join(map(str, range(500)))})
    for broken in (b"no archive", whole[: len(whole) // 2], whole[:60] + b"????" + whole[64:]):
        path.write_bytes(broken)
        with pytest.raises(Thought1Error, match=r"a\.zip is broken"):
            list(read_archive(path, 10_000))


# The download


def original(max_bytes: int = 100) -> Original:
    return Original("b.tsv", "https://example.org/data/b.tsv", max_bytes)


PLACE = "example.org/data/b.tsv"


def test_a_file_comes_whole_and_is_counted(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"0123456789"
    received: list[int] = []
    downloads = Downloads(mirror=f"{home.url}/", progress=received.append)
    fetch(original(), tmp_path / "deep" / "b.tsv", downloads)
    assert (tmp_path / "deep" / "b.tsv").read_bytes() == b"0123456789"
    assert sum(received) == 10
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b.tsv"]


def test_passing_failures_are_tried_again(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"x"
    home.failures[PLACE] = [503, 429]
    fetch(original(), tmp_path / "b.tsv", Downloads(mirror=home.url))
    assert len(home.asked) == 3
    home.failures[PLACE] = [503, 503, 503]
    with pytest.raises(Thought1Error, match=r"b\.tsv cannot be fetched: the server answers 503"):
        fetch(original(), tmp_path / "b.tsv", Downloads(mirror=home.url))


def test_a_server_may_ask_for_a_pause(
    home: PublicHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("thought1.data.public.download.time.sleep", pauses.append)
    home.files[PLACE], home.failures[PLACE] = b"x", [429, 503]
    home.retry_after = 3600
    fetch(original(), tmp_path / "b.tsv", Downloads(mirror=home.url))
    assert pauses == [60.0, 60.0]


def test_what_is_not_there_is_asked_for_once(home: PublicHome, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="cannot be fetched: the server answers 404 Not Found"):
        fetch(original(), tmp_path / "b.tsv", Downloads(mirror=home.url))
    assert home.asked == [PLACE]


def test_a_host_that_does_not_answer(home: PublicHome, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match=r"no answer \(.*refused\)"):
        fetch(original(), tmp_path / "b.tsv", Downloads(mirror="http://127.0.0.1:1"))
    with pytest.raises(Thought1Error, match="must begin with http:// or https://: /data"):
        Downloads(mirror="/data")


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_larger_than_expected_is_refused(
    home: PublicHome, tmp_path: Path, announced: bool
) -> None:
    home.files[PLACE] = b"0" * 101
    if not announced:
        home.lengths[PLACE] = None
    with pytest.raises(Thought1Error, match="larger than the 100 bytes expected there"):
        fetch(original(), tmp_path / "b.tsv", Downloads(mirror=home.url))
    assert not (tmp_path / "b.tsv").exists() and len(home.asked) == 1


def test_a_file_that_breaks_off_is_no_file(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"half"
    home.lengths[PLACE] = 8
    with pytest.raises(Thought1Error, match="it broke off after 4 of 8 bytes"):
        fetch(original(), tmp_path / "b.tsv", Downloads(mirror=home.url))
    assert not (tmp_path / "b.tsv").exists() and len(home.asked) == 3


# Putting in place


def test_a_set_is_made_once(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"one\n"
    downloads = Downloads(mirror=home.url)
    outcome = get_set(plain_set(), tmp_path / "data", downloads)
    assert (outcome.state, outcome.folder) == ("made", tmp_path / "data" / "plain")
    assert (outcome.folder / "b.tsv").read_bytes() == b"one\n"
    assert get_set(plain_set(), tmp_path / "data", downloads).state == "already there"
    assert home.asked == [PLACE]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["plain"]


def test_a_changed_set_is_kept_aside_until_accepted(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"two\n"
    downloads = Downloads(mirror=home.url)
    outcome = get_set(plain_set(), tmp_path, downloads)
    assert (outcome.state, outcome.differing) == ("changed", ("b.tsv",))
    assert outcome.folder == tmp_path / "plain.changed" and (outcome.folder / "b.tsv").exists()
    assert not (tmp_path / "plain").exists()

    accepted = get_set(plain_set(), tmp_path, downloads, accept_changed=True)
    assert (accepted.state, accepted.differing) == ("accepted", ("b.tsv",))
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]
    again = get_set(plain_set(), tmp_path, downloads, accept_changed=True)
    assert (again.state, again.differing) == ("already there", ("b.tsv",))
    with pytest.raises(Thought1Error, match="plain exists, but not with the files of plain"):
        get_set(plain_set(), tmp_path, downloads)


def test_another_folder_in_the_place_stays(home: PublicHome, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "mine.txt").write_text("mine")
    for accept in (False, True):
        with pytest.raises(Thought1Error, match="move it away"):
            get_set(plain_set(), tmp_path, Downloads(mirror=home.url), accept)
    assert (tmp_path / "plain" / "mine.txt").read_text() == "mine" and not home.asked


def test_an_original_is_compared_too(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"one\n"
    known = Original("b.tsv", "https://example.org/data/b.tsv", 100, sha256=sha256(b"zero"))
    outcome = get_set(plain_set(originals=(known,)), tmp_path, Downloads(mirror=home.url))
    assert (outcome.state, outcome.differing) == ("changed", ("b.tsv",))


@pytest.mark.parametrize("content", [b'{"id": 1}\n', b"no json\n", b"\xff\n", b"[]\n"])
def test_originals_of_another_form_leave_nothing(
    home: PublicHome, tmp_path: Path, content: bytes
) -> None:
    files = {
        "train.jsonl": content,
        "dev.jsonl": b"",
        "test.jsonl": b"",
        "worldtree_corpus_sentences_extended.json": b"{}",
    }
    home.files = {f"example.org/{name}": content for name, content in files.items()}
    originals = tuple(Original(name, f"https://example.org/{name}", 100) for name in files)
    public = plain_set(converter="entailmentbank", originals=originals)
    with pytest.raises(Thought1Error, match="have another form than the conversion knows"):
        get_set(public, tmp_path, Downloads(mirror=home.url))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(home: PublicHome, tmp_path: Path) -> None:
    home.files[PLACE] = b"one\n"
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        patch("thought1.files.whole.os.replace", side_effect=full),
        pytest.raises(Thought1Error, match="plain cannot be written: No space left on device"),
    ):
        get_set(plain_set(), tmp_path, Downloads(mirror=home.url))
    assert list(tmp_path.iterdir()) == []


def test_a_packed_file_that_is_broken_has_no_hash(tmp_path: Path) -> None:
    packed = gzip.compress(bytes(range(256)) * 50)
    for broken in (b"plain", packed[:-10], packed[:40] + b"????" + packed[44:]):
        (tmp_path / "a.gz").write_bytes(broken)
        assert content_hash(tmp_path / "a.gz") == ""
