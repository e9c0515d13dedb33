"""The page of `t1 report`: what stands on it, that it is safe, and what is refused."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
from result_files import ResultFile, bright, kitchen

from thought1.evaluation.report.axes import Box, cost_scale, cost_ticks, even_ticks
from thought1.evaluation.report.grouping import by_task
from thought1.evaluation.report.markup import Markup, element
from thought1.evaluation.report.page import render_page
from thought1.evaluation.report.plots import axis_end
from thought1.evaluation.report.reading import read_results
from thought1.evaluation.report.wording import amount
from thought1.types import Thought1Error

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<svg onload=alert(3)>"


class Page(HTMLParser):
    """Tags with their attributes, ids, and the text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(folder: Path, title: str = "Results") -> str:
    return render_page(read_results(folder), title)


def test_everything_is_shown(tmp_path: Path) -> None:
    shown = Page(page(kitchen(tmp_path), "Kitchen <trials>"))
    assert shown.open == []
    for words in (
        "Kitchen <trials>",
        "3 results: 3 systems on 1 task, 2026-11-20.",
        "t1-tiny, thinking 16",
        "t1-tiny, not thinking",
        "Differences between systems",
        "Over tokens",
        "A BM25",
        "nDCG@10 by kind of thought",
        "Warning: it is not shown",
        "4 thoughts on each question, sampled at temperature 1: mean cosine distance of their "
        "vectors 0.178, its rank correlation with nDCG@10 after the own thought \u22120.250.",
        "Data of sampled thoughts",
        "Vector nDCG@10 This minus bare",
        "Query by query",
        "Thought: 12 tokens, ended by emb_token",
        "relevant",
        "t1 evaluate examples/kitchen --split dev",
        "e" * 40,
    ):
        assert words in shown.text
    assert "Not in these results" not in shown.text


def test_dispersion_may_be_absent_or_have_no_rank(tmp_path: Path) -> None:
    path = ResultFile(faithfulness=True).write(tmp_path)
    content = json.loads(path.read_text())
    content["faithfulness"]["dispersion"]["correlation"] = None
    path.write_text(json.dumps(content))
    assert "after the own thought undefined." in Page(page(tmp_path)).text
    del content["faithfulness"]["dispersion"]
    path.write_text(json.dumps(content))
    shown = Page(page(tmp_path)).text
    assert "nDCG@10 by kind of thought" in shown
    assert "sampled" not in shown


def test_values_of_the_overview(tmp_path: Path) -> None:
    file = ResultFile(level=0.4)
    file.write(tmp_path)
    content = file.content()
    shown = Page(page(tmp_path)).text
    mean, (low, high) = content["metrics"]["ndcg@10"], content["ci"]["ndcg@10"]
    assert f"{mean:.3f} {low:.3f} to {high:.3f}" in shown
    assert "12.8 25% 45" in shown  # tokens, forced share, milliseconds of all steps


def test_differences_are_paired(tmp_path: Path) -> None:
    better, worse = ResultFile(level=0.6), ResultFile(system="bm25", kind="bm25", level=0.3)
    better.write(tmp_path)
    worse.write(tmp_path)
    a, b = better.values(), worse.values()
    mean = sum(a[query] - b[query] for query in a) / len(a)
    wins = sum(a[query] > b[query] for query in a)
    shown = Page(page(tmp_path)).text
    row = re.search(rf"t1-tiny bm25 \+{mean:.3f} (\S+) to (\S+) (\w+) {wins} (\d+)", shown)
    assert row is not None
    assert row[3] == "yes"
    assert int(row[4]) == sum(a[query] < b[query] for query in a)


def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    kitchen(tmp_path)
    shown = Page(page(bright(tmp_path)))
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(attributes["href"]) for attributes in shown.named("a")}
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    told = [str(attributes["aria-labelledby"]).split() for attributes in shown.named("svg")]
    assert told and all(name in ids for names in told for name in names)
    points = [a for a in shown.named("circle") if str(a["class"]).startswith("point")]
    assert len(points) == 2 * 24 + 3 * 24


def test_bright_is_grouped(tmp_path: Path) -> None:
    files = bright(tmp_path)
    long = ResultFile(task="bright-biology-long", task_kind="bright", level=0.7)
    long.write(files)
    shown = Page(page(files)).text
    means = [
        ResultFile(task=f"bright-{subset}", task_kind="bright", level=0.4).content()
        for subset in ("biology", "economics", "robotics")
    ]
    average = sum(content["metrics"]["ndcg@10"] for content in means) / 3
    assert f"t1-tiny {average:.3f} 3 " in shown
    assert "Recall@1 of each subset" in shown  # long documents have another measure


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    ResultFile(details=False).write(tmp_path)
    shown = Page(page(tmp_path))
    assert (
        "Not in these results: differences (there is one system), a thinking curve, the "
        "faithfulness gauge and thoughts and hits (no file of details)." in shown.text
    )
    assert "Thinking curves" not in shown.text
    assert not [a for a in shown.named("details") if a.get("class") == "card"]


def test_other_data_and_other_queries(tmp_path: Path) -> None:
    ResultFile().write(tmp_path)
    other = ResultFile(system="bm25", kind="bm25", queries=20)
    task = {**other.content()["task"], "hashes": {"corpus.jsonl": "f" * 64}}
    other.changes = {"task": task}
    other.write(tmp_path)
    shown = Page(page(tmp_path)).text
    assert "are not comparable: corpus.jsonl differ" in shown
    assert "1 pair left out: the two were evaluated on different queries." in shown


def test_one_system_twice_is_told_apart(tmp_path: Path) -> None:
    ResultFile().write(tmp_path / "first")
    ResultFile().write(tmp_path / "second")
    shown = Page(page(tmp_path)).text
    assert "t1-tiny (first/t1-tiny/" in shown
    assert "t1-tiny (second/t1-tiny/" in shown


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    plain = Page(page(ResultFile(system="plain").write(tmp_path / "plain").parent))
    file = ResultFile(
        system="plain",
        task=HOSTILE.replace("/", "|"),
        texts=dict.fromkeys((f"q{n:03d}" for n in range(24)), HOSTILE + "\0\ud800"),
    )
    content = file.content()
    content["system"]["name"] = content["origin"]["commit"] = HOSTILE
    content["per_query"] = {
        name: {f"{HOSTILE}{query}" if query == "q000" else query: v for query, v in of.items()}
        for name, of in content["per_query"].items()
    }
    file.task, file.changes = "plain", content
    html = page(file.write(tmp_path / "hostile").parent, title=HOSTILE)
    html.encode()  # a half of a surrogate pair would not
    assert "\0" not in html
    shown = Page(html)
    assert HOSTILE in shown.text
    known = {(tag, name) for tag, attributes in plain.tags for name in attributes}
    assert {tag for tag, _ in shown.tags} <= {tag for tag, _ in plain.tags}
    assert {(tag, name) for tag, attributes in shown.tags for name in attributes} <= known
    assert len(shown.named("script")) == 1


def test_nothing_is_loaded(tmp_path: Path) -> None:
    html = page(kitchen(tmp_path))
    shown = Page(html)
    assert {tag for tag, _ in shown.tags}.isdisjoint({"link", "img", "iframe", "object", "base"})
    for _, attributes in shown.tags:
        assert "src" not in attributes and "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("href", "#")).startswith("#")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert style and script
    assert "url(" not in style[1] and "@import" not in style[1]
    policy = next(a["content"] for a in shown.named("meta") if "http-equiv" in a)
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style[1], script[1])
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_same_files_give_the_same_page(tmp_path: Path) -> None:
    one = page(bright(kitchen(tmp_path / "one")))
    assert page(kitchen(bright(tmp_path / "two"))) == one


def test_many_queries_keep_the_page_small(tmp_path: Path) -> None:
    ResultFile(queries=320).write(tmp_path)
    shown = Page(page(tmp_path))
    assert len([a for a in shown.named("details") if a.get("class") == "card"]) == 300
    assert "20 queries without thoughts and hits on this page." in shown.text


def broken(folder: Path, change: Callable[[str], str]) -> Path:
    path = ResultFile(curve=True).write(folder)
    path.write_text(change(path.read_text()))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-9], "is not valid JSON"),
        (lambda text: "[]", "is not a JSON object"),
        (lambda text: "{}", "is not a result file"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2"),
        (lambda text: text.replace('"q003": 0', '"q003": 7', 1), "per_query.ndcg@10.q003 is 7"),
        (lambda text: text.replace('"q003"', '"q3"', 1), "has different queries under different"),
        (lambda text: text.replace('"kind": "beir"', '"kind": 1'), "task.kind is not a string"),
        (lambda text: text.replace('"forced": 0.25', '"forced": NaN'), "NaN is not a JSON number"),
        (lambda text: text.replace('"budget": 8', '"budget": -8'), "curve.points[1].budget is not"),
        (lambda text: text.replace(".details.", "/../x."), "a file of details outside of its own"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = broken(tmp_path, change)
    with pytest.raises(Thought1Error, match=re.escape(message)) as caught:
        read_results(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "evaluate again" in str(caught.value)


def test_broken_details_are_named(tmp_path: Path) -> None:
    details = ResultFile().write(tmp_path).with_name("kitchen-dev.details.jsonl.gz")
    details.write_bytes(details.read_bytes()[:200])
    with pytest.raises(Thought1Error, match=r"details\.jsonl\.gz cannot be read"):
        read_results(tmp_path)


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="holds no result files"):
        read_results(tmp_path)
    with pytest.raises(Thought1Error, match="is not a folder"):
        read_results(tmp_path / "none")


def test_results_without_a_common_measure(tmp_path: Path) -> None:
    ResultFile().write(tmp_path)
    other = ResultFile(system="bm25")
    other.changes = {
        part: {"mrr@10": other.content()[part]["ndcg@10"]}
        for part in ("per_query", "metrics", "ci")
    }
    other.write(tmp_path)
    with pytest.raises(Thought1Error, match="have no measure in common"):
        page(tmp_path)


def test_only_markup_is_not_escaped() -> None:
    assert element("p", {"title": 'a"b'}, "<b>", Markup("<b></b>"), None) == (
        '<p title="a&#34;b">&lt;b&gt;<b></b></p>'
    )


def test_axes() -> None:
    assert even_ticks(0, 0.6) == [0, 0.2, 0.4, 0.6]
    assert axis_end([0.31, 0.544]) == pytest.approx(0.6)
    assert axis_end([0.0]) == pytest.approx(0.01)
    assert axis_end([0.999]) == 1.0
    box = Box(0, 0, 300, 100)
    assert cost_ticks(cost_scale([0, 20, 40], box)) == [0, 10, 20, 30, 40]
    wide = cost_scale([1, 1000], box)
    assert wide(1000) - wide(100) == pytest.approx(wide(10) - wide(1))
    with_nothing = cost_scale([0, 8, 512], box)
    assert with_nothing(0) < with_nothing(8) < with_nothing(512)


def test_amounts() -> None:
    shown = {value: amount(value) for value in (None, 0, 0.00499, 0.5, 4.256, 45, 45.26, 12345.6)}
    assert list(shown.values()) == ["\u2013", "0", "0.005", "0.5", "4.26", "45", "45.3", "12,346"]


def colours(scheme: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_contrast_in_light_and_dark() -> None:
    style = resources.files("thought1.evaluation.report").joinpath("style.css").read_text("utf-8")
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    pairs = [
        (ink, paper) for ink in ("ink", "muted", "accent", "good") for paper in ("paper", "panel")
    ]
    pairs += [("warn", "warn-panel")]
    for scheme in (colours(light), colours(dark)):
        for ink, paper in pairs:
            high, low = sorted((luminance(scheme[ink]), luminance(scheme[paper])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def test_rewritten_queries_of_bright_are_a_track_of_their_own(tmp_path: Path) -> None:
    for task in ("bright-pony", "bright-pony-gpt4_reason", "bright-aops-claude-3-opus_reason",
                 "bright-pony-long", "bright-pony-long-gpt4_reason"):  # fmt: skip
        ResultFile(task=task, task_kind="bright").write(tmp_path)
    found = {task.name: (task.bright, task.short) for task in by_task(read_results(tmp_path))}
    assert found == {
        "bright-pony": ("BRIGHT", "pony"),
        "bright-pony-gpt4_reason": ("BRIGHT, gpt4_reason", "pony"),
        "bright-aops-claude-3-opus_reason": ("BRIGHT, claude-3-opus_reason", "aops"),
        "bright-pony-long": ("BRIGHT, long documents", "pony"),
        "bright-pony-long-gpt4_reason": ("BRIGHT, long documents, gpt4_reason", "pony"),
    }
