"""`t1 search`: what it shows, as text and as JSON, and what it refuses."""

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from chat_server import chat_server
from t1_command import T1Command, small_checkpoint, write_lines

from thought1.cli.result_json import result_data
from thought1.cli.where import parse_where
from thought1.index import Index
from thought1.model.prompts import Template
from thought1.search.options import Fusion, SearchOptions
from thought1.t1 import T1
from thought1.types import Sampling, Thought1Error


def test_search_shows_thought_table_and_receipt(t1: T1Command, built: str) -> None:
    ran = t1("search", built, "why do ice cubes crack?", "--think", "5", "-k", "2")
    assert ran.code == 0
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert lines[0] == "why do ice cubes crack?"
    assert "(5 tokens, ended by budget)" in ran.out
    assert [line.split()[0] for line in lines if line[:2] in ("1 ", "2 ", "3 ")] == ["1", "2"]
    assert "5 thought tokens, 1 forced; think" in lines[-1]


@pytest.mark.parametrize("mode", ["dense", "bm25", "hybrid"])
def test_search_json_is_one_object(t1: T1Command, built: str, mode: str) -> None:
    found = t1("search", built, "ice cubes crack", "--mode", mode, "--json").json()
    assert set(found) == {"results", "receipt"}
    (result,) = found["results"]
    assert result["query"] == "ice cubes crack"
    assert result["hits"][0]["rank"] == 1
    assert set(result["hits"][0]) == {"rank", "id", "score", "title", "text", "metadata"}
    if mode == "bm25":
        assert result["thought"] is None
        assert [hit["id"] for hit in result["hits"]] == ["ice"]
    else:
        assert result["thought"]["tokens"] == 8  # the checkpoint's own budget
        assert result["thought"]["finish_reason"] == "budget"
        assert found["receipt"]["thought_tokens"] == 8
        assert len(result["hits"]) == 4


def test_no_think(t1: T1Command, built: str) -> None:
    found = t1("search", built, "ice", "--no-think", "--json").json()
    assert found["results"][0]["thought"] is None
    assert found["receipt"]["thought_tokens"] == 0
    zero = t1("search", built, "ice", "--think", "0", "--json").json()
    assert zero["results"] == found["results"]


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], SearchOptions()),
        (["--mode", "dense", "--think", "4", "-k", "2"], SearchOptions(2, "dense", 4)),
        (["--offset", "1", "-k", "2"], SearchOptions(2, offset=1)),
        (["--fusion-weights", "3,1"], SearchOptions(fusion=Fusion(dense_weight=3))),
        (["--fusion", "ranks"], SearchOptions(fusion=Fusion(by="ranks"))),
        (
            ["--temperature", "0.9", "--top-p", "0.9", "--seed", "5"],
            SearchOptions(sampling=Sampling(0.9, 0.9, 5)),
        ),
        (["--where", "year>=1990"], SearchOptions(where={"year": {"gte": 1990}})),
        (["--samples", "3"], SearchOptions(samples=3)),
        (["--evidence", "2"], SearchOptions(evidence=2)),
        (["--evidence", "2", "--rounds", "3"], SearchOptions(evidence=2, rounds=3)),
        (
            ["--samples", "3", "--combine", "like-bare"],
            SearchOptions(samples=3, combine="like-bare"),
        ),
        (
            ["--samples", "3", "--mode", "dense", "--min-confidence", "0.999999"],
            SearchOptions(mode="dense", samples=3, min_confidence=0.999999),
        ),
        (
            ["--samples", "2", "--temperature", "0.9", "--seed", "5"],
            SearchOptions(sampling=Sampling(0.9, 1.0, 5), samples=2),
        ),
    ],
)
def test_the_command_and_the_library_agree(
    t1: T1Command, tmp_path: Path, built: str, flags: list[str], options: SearchOptions
) -> None:
    """Also for a model whose own settings sample: neither changes the model."""
    warm = T1.from_pretrained(Index.remembered(built).model)
    settings = replace(warm.settings.thought, temperature=1.0)
    warm.checkpoint.settings = replace(warm.settings, thought=settings)
    warm.save_pretrained(tmp_path / "warm")
    found = t1("search", built, "ice", *flags, "--model", tmp_path / "warm", "--json").json()
    index = Index.open(built, T1.from_pretrained(tmp_path / "warm"))
    (result,), _ = index.search_many(["ice"], options)
    assert found["results"] == [result_data(result)]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fusion-weights", "1"], "give two numbers with a comma between them"),
        (["--fusion-weights", "0,0"], "not both 0"),
        (["--fusion-weights", "1,1", "--mode", "dense"], "are of --mode hybrid"),
        (["--fusion", "ranks", "--mode", "dense"], "are of --mode hybrid"),
        (["--seed", "1"], "need a --temperature above 0"),
        (["--mode", "bm25", "--temperature", "1"], "bm25 does not think"),
        (["--mode", "bm25", "--samples", "2"], "bm25 does not think"),
        (["--mode", "bm25", "--evidence", "2"], "bm25 does not think"),
        (["--evidence", "2", "--no-think"], "evidence is read before thinking"),
        (["--rounds", "2"], "say how many documents are read, as evidence"),
        (["--samples", "2", "--no-think"], "need a thinking budget of 1 token or more"),
        (["--samples", "2", "--temperature", "0"], "need a temperature above 0"),
        (["--checkpoints", "1,x"], "give whole numbers, such as 0,16,32"),
        (["--checkpoints", ""], "give whole numbers, such as 0,16,32"),
        (["--checkpoints", "0,9", "--think", "5"], "up to the budget of 5, not at 9"),
        (["--checkpoints", "0,2", "--mode", "bm25"], "bm25 does not think"),
        (["--json", "--csv"], "--json, --jsonl and --csv exclude each other"),
        (["--group-best", "2"], "Name a field to group by"),
        (["--explain", "--samples", "2"], "one thought can be explained, not 2"),
        (["--thought", "cold", "--think", "4"], "with --thought nothing is generated"),
        (["--thought", "cold", "--temperature", "1"], "with --thought nothing is generated"),
        (["--thought", "cold", "--evidence", "2"], "with --thought nothing is generated"),
        (["--thought", "cold", "--mode", "bm25"], "with --thought nothing is generated"),
    ],
)
def test_options_that_contradict_each_other(
    t1: T1Command, built: str, flags: list[str], message: str
) -> None:
    assert message in t1("search", built, "ice", *flags).error()


def test_a_thought_of_ones_own(t1: T1Command, built: str) -> None:
    flags = ("--thought", "warm; water", "--mode", "dense", "--json")
    found = t1("search", built, "ice", *flags).json()
    index = Index.open(built, T1.from_pretrained(Index.remembered(built).model))
    (result,), receipt = index.search_many(["ice"], SearchOptions(mode="dense"), ["warm; water"])
    assert found["results"] == [result_data(result)]
    assert found["results"][0]["thought"]["finish_reason"] == "edited"
    assert found["receipt"]["thought_tokens"] == 0
    assert found["receipt"]["prompt_tokens"] == receipt.prompt_tokens
    assert "is about one QUESTION" in t1("search", built, "--thought", "x", stdin=b"ice\n").error()


def test_hits_are_explained(t1: T1Command, built: str) -> None:
    arguments = ("search", built, "ice cubes crack", "--thought", "warm; water", "--explain")
    hits = t1(*arguments, "--json").json()["results"][0]["hits"]
    why = next(hit for hit in hits if hit["id"] == "ice")["explanation"]
    assert [part["text"] for part in why["parts"]] == ["warm", "water"]
    assert {word["word"] for word in why["words"]} >= {"ice"}
    assert why["highlight"]["start"] == 0
    shown = t1(*arguments).out
    assert "nearest sentence (" in shown
    assert f"thought {why['parts'][0]['effect']:+.3f}: warm" in shown
    assert "words: " in shown


def test_rows_and_lines(t1: T1Command, built: str) -> None:
    flags = ("--mode", "bm25")
    questions = {"stdin": b"ice cubes crack\nwater\n"}
    whole = t1("search", built, *flags, "--json", **questions).json()["results"]
    lines = t1("search", built, *flags, "--jsonl", **questions).out.splitlines()
    assert [json.loads(line) for line in lines] == whole
    rows = list(csv.DictReader(io.StringIO(t1("search", built, *flags, "--csv", **questions).out)))
    hits = [(result["query"], hit) for result in whole for hit in result["hits"]]
    assert len(rows) == len(hits) > 1
    for row, (query, hit) in zip(rows, hits, strict=True):
        assert (row["query"], row["id"], row["text"]) == (query, hit["id"], hit["text"])
        assert (int(row["rank"]), float(row["score"])) == (hit["rank"], hit["score"])
        assert json.loads(row["metadata"]) == hit["metadata"]


def test_passages_of_a_folder(t1: T1Command, tmp_path: Path, model: str) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    text = "\n\n".join(f"Ice cubes crack, part {n}." for n in range(4))
    (notes / "ice.md").write_text(text)
    (notes / "salt.md").write_text("Salt melts ice.")
    index = tmp_path / "i"
    t1("index", notes, "-o", index, "--model", model, "--passage-tokens", "24")
    flags = ("--mode", "bm25", "--group-by", "source", "--neighbours", "1")
    found = t1("search", index, "ice cubes part 1", *flags, "--json").json()["results"][0]["hits"]
    assert [hit["metadata"]["source"] for hit in found] == ["ice.md", "salt.md"]
    first = found[0]
    assert first["passages"] == [{"id": first["id"], "score": first["score"]}]
    start, end = first["metadata"]["start"], first["metadata"]["end"]
    assert text[start:end] == first["text"] == "Ice cubes crack, part 1."
    assert [one["id"] for one in first["before"]] == ["ice.md#0"]
    assert [one["text"] for one in first["after"]] == ["Ice cubes crack, part 2."]
    assert "1 after ice.md#2: Ice cubes" in t1("search", index, "ice cubes part 1", *flags).out


def test_several_thoughts_are_all_shown(t1: T1Command, built: str) -> None:
    arguments = ("search", built, "ice cubes crack", "--samples", "3", "--think", "5")
    found = t1(*arguments, "--json").json()
    (result,) = found["results"]
    assert result["thoughts"][0] == result["thought"]
    assert len({thought["text"] for thought in result["thoughts"]}) == 3
    tokens = sum(thought["tokens"] for thought in result["thoughts"])
    assert found["receipt"]["thought_tokens"] == tokens == 15
    shown = t1(*arguments).out
    assert shown.count("(5 tokens, ended by budget)") == 3
    assert "--samples" in t1("search", built, "ice", "--samples", "0").err


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_checkpoints_show_what_smaller_budgets_find(t1: T1Command, built: str, mode: str) -> None:
    arguments = ("search", built, "ice cubes crack", "--mode", mode)
    found = t1(*arguments, "--checkpoints", "4,0", "--json").json()
    (result,) = found["results"]
    assert found["receipt"]["thought_tokens"] == 4
    assert [stage["budget"] for stage in result["stages"]] == [0, 4]
    for stage in result["stages"]:
        alone = t1(*arguments, "--think", str(stage["budget"]), "--json").json()["results"][0]
        assert [hit["id"] for hit in stage["hits"]] == [hit["id"] for hit in alone["hits"]]
        for mine, other in zip(stage["hits"], alone["hits"], strict=True):
            assert mine["score"] == pytest.approx(other["score"], abs=1e-5)
    shown = t1(*arguments, "--checkpoints", "0,4").out
    first = ", ".join(hit["id"] for hit in result["stages"][0]["hits"])
    assert f"ms: {first}" in shown


def test_what_was_read_is_told(t1: T1Command, built: str) -> None:
    arguments = ("search", built, "ice cubes crack", "--evidence", "2", "--mode", "dense")
    found = t1(*arguments, "--json").json()
    bare = t1("search", built, "ice cubes crack", "--no-think", "--mode", "dense", "--json").json()
    (result,) = found["results"]
    assert result["evidence"] == [hit["id"] for hit in bare["results"][0]["hits"][:2]]
    steps = ["first-embed", "first-dense", "read", "think", "dense", "fetch"]
    assert list(found["receipt"]["milliseconds"]) == steps
    assert found["receipt"]["prompt_tokens"] > 2 * bare["receipt"]["prompt_tokens"]
    assert f"after reading {', '.join(result['evidence'])}" in t1(*arguments).out


def test_the_rounds_are_told(t1: T1Command, built: str) -> None:
    arguments = ("search", built, "ice cubes crack", "--evidence", "2", "--rounds", "2")
    (result,) = t1(*arguments, "--json").json()["results"]
    shown = t1(*arguments).out
    assert 1 <= len(result["rounds"]) <= 2
    assert result["rounds"][-1]["evidence"] == result["evidence"]
    for number, one in enumerate(result["rounds"], 1):
        assert f"round {number}, after reading {', '.join(one['evidence'])}" in shown
        for hop in one["hops"]:
            assert hop["text"] in one["thought"] and len(hop["documents"]) == 2
            assert f"-> {', '.join(hop['documents'])}" in shown


def test_a_template_without_a_place_for_evidence(
    t1: T1Command, tmp_path: Path, built: str, collection: Path
) -> None:
    model = T1.from_pretrained(Index.remembered(built).model)
    query = Template("{instruction}\n{text}\n", "find")
    model.with_settings(replace(model.settings, query=query)).save_pretrained(tmp_path / "m")
    message = "has no slot {evidence}; search without evidence"
    asked = ("--model", tmp_path / "m", "--evidence", "2")
    assert message in t1("search", built, "ice", *asked).error()
    evaluated = ("evaluate", collection, "--split", "dev", *asked)
    assert message in t1(*evaluated).error()
    assert message in t1(*evaluated, "--index", built).error()


def test_bm25_loads_no_model(t1: T1Command, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("thought1.t1.T1.from_pretrained", fail)
    assert t1("search", built, "ice", "--mode", "bm25").code == 0


def test_questions_from_stdin(t1: T1Command, built: str) -> None:
    lines = "\ufeffwarum ist Eis rutschig, Übung?\r\n\n  salt  \n".encode()
    found = t1("search", built, "--json", "--mode", "bm25", stdin=lines).json()
    questions = [result["query"] for result in found["results"]]
    assert questions == ["warum ist Eis rutschig, Übung?", "salt"]
    assert found["receipt"]["queries"] == 2


def test_where(t1: T1Command, built: str) -> None:
    def ids(*conditions: str) -> set[str]:
        options = [part for condition in conditions for part in ("--where", condition)]
        found = t1("search", built, "water", "--no-think", "--json", *options).json()
        return {hit["id"] for hit in found["results"][0]["hits"]}

    assert ids("lang=de") == {"brot"}
    assert ids("year=2005", "lang=en") == {"salt"}
    assert ids("year>=1990", "year<2005") == {"ice"}
    assert ids("lang!=de", "year>1990") == {"salt", "rust"}
    for wrong, message in [("lang", "is not a condition"), ("lagn=en", "no document has")]:
        assert message in t1("search", built, "water", "--no-think", "--where", wrong).error()


def test_parse_where_takes_any_key() -> None:
    assert parse_where(['"a>=\\"b"!=3', "modified at>=2024-01-01", '""=x']) == {
        'a>="b': {"nin": [*{3, "3"}]},
        "modified at": {"gte": "2024-01-01"},
        "": {"in": ["x"]},
    }


def test_large_numbers_stay_exact() -> None:
    for text in ("1234567890123456789", "-9223372036854775808"):
        condition = parse_where([f"n>={text}"])
        assert condition == {"n": {"gte": int(text)}}
        assert type(condition["n"]["gte"]) is int


def test_parse_where() -> None:
    assert parse_where([]) is None
    assert parse_where(["lang = en", "a b!=c=d"]) == {
        "lang": {"in": ["en"]},
        "a b": {"nin": ["c=d"]},
    }
    found = parse_where(["n=1", "x<=1.5", "b!=true", "d>2020-01-01", "big>=" + 30 * "9"])
    assert found is not None
    assert set(found["n"]["in"]) == {1, "1"}
    assert found["x"] == {"lte": 1.5}
    assert set(found["b"]["nin"]) == {True, "true"}
    assert found["d"] == {"gt": "2020-01-01"}
    assert found["big"] == {"gte": float(30 * "9")}
    for wrong in ["", "=", "x=", "=x", "x", "x~y"]:
        with pytest.raises(Thought1Error, match="is not a condition"):
            parse_where([wrong])
    with pytest.raises(Thought1Error, match="given twice"):
        parse_where(["x>1", "x>2"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_search_refuses_what_cannot_work(
    t1: T1Command, built: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no index at" in t1("search", tmp_path / "none", "question").error()
    assert "contradict" in t1("search", built, "x", "--think", "3", "--no-think").error()
    assert "bm25 does not think" in t1("search", built, "x", "--mode", "bm25", "--think", 3).error()
    assert "the question is empty" in t1("search", built, " ").error()
    assert "no question on stdin" in t1("search", built, stdin=b"\n \n").error()
    assert "line 2 of stdin" in t1("search", built, stdin=b"good\n\xff\n").error()
    assert "not valid UTF-8" in t1("search", built, "\udcff").error()
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert "give one, or pipe in" in t1("search", built).error()


def test_a_lost_model_is_asked_for(
    t1: T1Command, tmp_path: Path, collection: Path, model: str
) -> None:
    moved = Path(small_checkpoint(tmp_path, seed=0))
    assert t1("index", collection, "-o", tmp_path / "i", "--model", moved).code == 0
    moved.rename(tmp_path / "elsewhere")
    assert "name the folder where it is now" in t1("search", tmp_path / "i", "ice").error()
    named = t1("search", tmp_path / "i", "ice", "--model", tmp_path / "elsewhere")
    assert named.code == 0


def test_texts_cannot_steer_the_terminal(t1: T1Command, tmp_path: Path, model: str) -> None:
    text = "snow \x1b[31mred\x1b[0m [bold]x[/bold] [/]\nnext"
    corpus = write_lines(tmp_path / "c.jsonl", [{"_id": "a", "title": "[/red]", "text": text}])
    assert t1("index", corpus, "-o", tmp_path / "i", "--model", model).code == 0
    ran = t1("search", tmp_path / "i", "snow [/x]", "--mode", "bm25")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "[/red]" in ran.out and "[bold]x[/bold]" in ran.out


def test_confidence_is_shown(t1: T1Command, built: str) -> None:
    asked = ("search", built, "why do ice cubes crack?", "--samples", "2", "--mode", "dense")
    (result,) = t1(*asked, "--json").json()["results"]
    assert -1 <= result["confidence"] <= 1 and result["fell_back"] is False
    assert f"confidence {result['confidence']:.2f}\n" in t1(*asked).out
    fallen = t1(*asked, "--min-confidence", "1")
    assert (
        f"confidence {result['confidence']:.2f}, too low: searched by words as well" in fallen.out
    )
    refused = t1("search", built, "ice", "--min-confidence", "0.5")
    assert (refused.code, refused.out) == (2, "") and "ask for 2 samples or more" in refused.err


# -- reranking, and thoughts from elsewhere ------------------------------------------------------


def test_a_search_is_reranked(t1: T1Command, built: str) -> None:
    flags = ("--no-think", "--rerank", "t1", "--rerank-depth", "3", "--rerank-weight", "1")
    found = t1("search", built, "ice", *flags, "--json").json()
    options = SearchOptions(think=0, rerank="t1", rerank_depth=3, rerank_weight=1)
    index = Index.open(built, T1.from_pretrained(Index.remembered(built).model))
    (result,), receipt = index.search_many(["ice"], options)
    assert found["results"] == [result_data(result)]
    assert found["receipt"]["rerank_tokens"] == receipt.rerank_tokens > 0
    assert found["receipt"]["rerank_calls"] == 3
    shown = t1("search", built, "ice", *flags)
    assert "3 calls and" in shown.out.splitlines()[-1]


def test_a_reranker_guides_a_search(
    t1: T1Command, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thought1.search.guided.STARTS", 1)
    monkeypatch.setattr("thought1.search.guided.DEGREE", 1)
    flags = ("--no-think", "--rerank", "t1", "--rerank-depth", "3", "--rerank-guided")
    found = t1("search", built, "ice", *flags, "--json").json()
    options = SearchOptions(think=0, rerank="t1", rerank_depth=3, rerank_guided=True)
    index = Index.open(built, T1.from_pretrained(Index.remembered(built).model))
    (result,), receipt = index.search_many(["ice"], options)
    assert found["results"] == [result_data(result)]
    # Three forward passes for each call: the first documents alone are one call.
    assert found["receipt"]["rerank_calls"] == receipt.rerank_calls > 3


def test_a_broken_reranker_is_told(t1: T1Command, built: str) -> None:
    flags = ("--mode", "bm25", "--rerank", "openai:http://[::1#m")
    ran = t1("search", built, "ice cubes", *flags)
    assert ran.code == 0
    assert "without rerank: 'http://[::1' is not the address of a server" in ran.out
    assert "1 questions without a step that failed" in ran.out
    found = t1("search", built, "ice cubes", *flags, "--json").json()
    assert found["results"][0]["left_out"][0]["step"] == "rerank"
    assert found["results"][0]["hits"][0]["id"] == "ice"


def test_thoughts_from_a_file(t1: T1Command, tmp_path: Path, built: str) -> None:
    file = write_lines(tmp_path / "thoughts.jsonl", [{"_id": "1", "text": "salt and water"}])
    found = t1("search", built, "roads", "--thoughts", file, "--json").json()
    model = T1.from_pretrained(Index.remembered(built).model)
    given = model.read_thoughts(["roads"], ["salt and water"])
    (result,), _ = Index.open(built, model).search_many(["roads"], SearchOptions(), given)
    assert found["results"] == [result_data(result)]
    assert found["results"][0]["thought"]["text"] == "salt and water"
    message = t1("search", built, "--thoughts", file, stdin=b"a\nb\n").error()
    assert "has 1 thoughts for 2 questions" in message


def test_thoughts_of_a_server(t1: T1Command, built: str) -> None:
    with chat_server(lambda _: "salt lowers the freezing point") as state:
        found = t1(
            "search", built, "roads", "--thinker", f"openai:{state.url}#m", "--think", 9, "--json"
        ).json()
    assert found["results"][0]["thought"]["text"] == "salt lowers the freezing point"
    assert state.requests[0]["max_tokens"] == 9
    assert "left_out" not in found["results"][0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rerank-depth", "5"], "are of --rerank"),
        (["--rerank-guided"], "are of --rerank"),
        (["--rerank", "nothing"], "there is no reranker named 'nothing'"),
        (["--rerank", "t1", "--mode", "bm25"], "this index has none"),
        (["--thinker", "openai:u#m", "--thoughts", "f"], "contradict each other"),
        (["--thoughts", "/no/such/file"], "No such file"),
        (["--thinker", "openai:u#m", "--no-think"], "a budget of 0 out"),
        (["--thinker", "openai:u#m", "--seed", "1"], "leave --adaptive, --temperature"),
        (["--thinker", "openai:u#m", "--adaptive", "calibrated"], "leave --adaptive"),
        (["--thinker", "openai:u#m", "--mode", "bm25"], "bm25 reads no thoughts"),
        (["--thinker", "openai:u#m", "--thought-cache"], "and --thought-cache out"),
        (["--thought-cache", "--mode", "bm25"], "is for searches that think"),
        (["--thinker", "other:x"], "there is no writer of thoughts named 'other'"),
    ],
)
def test_wrong_reranking_and_thoughts(
    t1: T1Command, built: str, flags: list[str], message: str
) -> None:
    assert message in t1("search", built, "ice", *flags).error()


def test_thoughts_are_kept(
    t1: T1Command, tmp_path: Path, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thought1.search.thought_cache.user_cache", lambda: tmp_path)
    plain = t1("search", built, "ice", "--think", 5, "--json").json()
    flags = ("search", built, "ice", "--think", 5, "--thought-cache")
    first, second = (t1(*flags, "--json").json() for _ in range(2))
    assert first["results"] == second["results"] == plain["results"]
    counts = [
        (one["receipt"]["cached"], one["receipt"]["thought_tokens"]) for one in (first, second)
    ]
    assert counts == [(0, 5), (1, 0)]
    assert "1 thoughts from the cache" in t1(*flags, "--rerank", "t1").out
    other = t1(*flags, "--seed", 1, "--temperature", 1, "--json").json()
    assert other["receipt"]["cached"] == 0
    assert (tmp_path / "thoughts.sqlite").is_file()
