"""The controlled experiment: does thinking pay where relevance is a composition of facts?

    python benchmarks/worlds.py --seeds 0 1 2 --output runs/worlds --json FILE --plot FILE.svg

For each seed a world (`t1 worlds`) and two models from scratch by `recipes/worlds.toml`: T1, and
the control, which has the same initialisation, text, pairs and steps, the thoughts' next-token loss
included, but reads every vector without a thought. Both are asked the test questions by kind, T1 at
several thinking budgets and behind the reference thought (the bound). What is finished in
`--output` is not trained again. It knows recipes and results, no losses.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from record import ROOT, exit_code, origin, write_json

from thought1.data.formats import BeirFolder, read_thoughts
from thought1.data.worlds import WorldSettings, make_world, write_world
from thought1.evaluation.statistics.protocol import bootstrap_ci, evaluate, paired_bootstrap
from thought1.model.weights import hash_weights
from thought1.search.exact import exact_run
from thought1.t1 import T1
from thought1.training.data.trajectories import read_evidence
from thought1.training.recipe import load_recipe
from thought1.training.run import train
from thought1.types import Thought1Error, Vectors

KINDS = ("hop1", "hop2", "hop3", "hop4", "comparison", "counting", "evidence")
ARMS: dict[str, tuple[str, ...]] = {"t1": (), "control": ("stages.2.share_none=1.0",)}
SIZES = ("entities", "questions", "tests")
MEASURE = "ndcg@10"
DEPTH = 100

Values = dict[str, dict[str, float]]
"""kind -> "seed/query id" -> nDCG@10."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The test questions of one kind."""

    texts: dict[str, str]
    qrels: dict[str, dict[str, int]]
    evidence: list[tuple[str, ...]] | None
    references: list[str]


class World:
    """One seed's world on disk, its test questions and what the two models make of them."""

    def __init__(self, folder: Path) -> None:
        beir = BeirFolder(folder)
        texts = {query.id: query.text for query in beir.queries()}
        shown = read_evidence(folder / "evidence.jsonl")
        thoughts = read_thoughts(folder / "thoughts.jsonl")
        self.documents = {document.id: document.full_text for document in beir.corpus()}
        self.asked: dict[str, Asked] = {}
        for kind in KINDS:
            qrels = beir.qrels(f"test-{kind}")
            evidence = [shown.get(q, ()) for q in qrels]
            self.asked[kind] = Asked(
                {q: texts[q] for q in qrels},
                qrels,
                evidence if any(evidence) else None,
                [thoughts[q] for q in qrels],
            )

    def measure(self, model: T1, budget: int | None) -> tuple[Values, float]:
        """nDCG@10 of each question, and the mean number of tokens thought.

        Args:
            budget: None reads the vector behind the reference thought.
        """
        documents_ND = np.asarray(model.encode_document(list(self.documents.values())))
        values, lengths = {}, []
        for kind, asked in self.asked.items():
            texts = list(asked.texts.values())
            if budget is None:
                behind = asked.references
                vectors = model.encode_query(texts, thoughts=behind, evidence=asked.evidence)
            else:
                thoughts = model.think(
                    texts, budget=budget, evidence=asked.evidence, batch_size=100
                )
                lengths += [len(thought.token_ids) for thought in thoughts]
                vectors = np.stack([thought.vector for thought in thoughts])
            values[kind] = self._ndcg(asked, np.asarray(vectors), documents_ND)
        return values, fmean(lengths) if lengths else 0.0

    def _ndcg(self, asked: Asked, queries_QD: Vectors, documents_ND: Vectors) -> dict[str, float]:
        run = exact_run(asked.texts, queries_QD, list(self.documents), documents_ND, DEPTH)
        return dict(evaluate(run, asked.qrels, [MEASURE]).per_query[MEASURE])


def make_folder(output: Path, settings: WorldSettings) -> Path:
    """The folder of a world, generated unless it is there.

    Raises:
        Thought1Error: there is a world of other settings.
    """
    folder = output / f"world-{settings.seed}"
    if not folder.is_dir():
        write_world(make_world(settings), folder)
    kept = json.loads((folder / "world.json").read_text("utf-8"))["settings"]
    if WorldSettings(**kept) != settings:
        raise Thought1Error(f"{folder} is a world of other settings: choose another --output")
    return folder


def train_arm(options: argparse.Namespace, seed: int, arm: str, world: Path) -> dict[str, Any]:
    """Train one model, or find it trained; its folder, weights and minutes."""
    output = options.output / f"{arm}-{seed}"
    settings = [f"data={world}", f"output={output}", f"seed={seed}"]
    recipe = load_recipe(options.recipe, [*settings, *options.settings, *ARMS[arm]])
    if arm != "t1":
        # The arms differ in the last stage alone.
        for number, stage in enumerate(recipe.stages[:-1], 1):
            shared = Path(f"{number}-{stage.name}") / "model"
            if not (output / shared).is_dir():
                part = output / shared.with_name("part")
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(options.output / f"t1-{seed}" / shared, part)
                part.replace(output / shared)  # half a copy is no finished stage
    began = time.monotonic()
    done = (output / f"{len(recipe.stages)}-{recipe.stages[-1].name}" / "model").is_dir()
    folder = train(recipe)
    minutes = None if done else round((time.monotonic() - began) / 60, 1)
    return {"folder": str(folder), "weights": hash_weights(folder), "minutes": minutes}


def measure_seed(
    options: argparse.Namespace, seed: int
) -> tuple[dict[str, Values], dict[str, Any]]:
    """All systems on one seed: name -> values; and how the models were made."""
    folder = make_folder(options.output, WorldSettings(seed=seed, **options.world))
    world = World(folder)
    made: dict[str, Any] = {arm: train_arm(options, seed, arm, folder) for arm in ARMS}
    values: dict[str, Values] = {}
    for arm in ARMS:
        model = T1.from_pretrained(made[arm]["folder"], dtype="float32", device="cpu")
        for budget in options.budgets if arm == "t1" else [0]:
            values[f"{arm}@{budget}"], tokens = world.measure(model, budget)
            made[arm].setdefault("tokens", {})[budget] = round(tokens, 2)
        if arm == "t1":
            values["t1, reference thought"], _ = world.measure(model, None)
    return by_seed(seed, values), made


def by_seed(seed: int, values: Mapping[str, Values]) -> dict[str, Values]:
    """The same with the seed in front of each question's id."""
    return {
        name: {
            kind: {f"{seed}/{q}": v for q, v in found.items()} for kind, found in of_kind.items()
        }
        for name, of_kind in values.items()
    }


def summary(
    seeds: Sequence[Mapping[str, Values]], reference: str, kinds: Sequence[str] = KINDS
) -> dict[str, Any]:
    """system -> kind -> mean, interval over the questions of all seeds, means of the seeds, and the
    paired difference to `reference`."""
    report: dict[str, Any] = {}
    for name in seeds[0]:
        report[name] = {}
        for kind in kinds:
            pooled = {q: v for seed in seeds for q, v in seed[name][kind].items()}
            other = {q: v for seed in seeds for q, v in seed[reference][kind].items()}
            report[name][kind] = {
                "ndcg@10": fmean(pooled.values()),
                "ci": bootstrap_ci(list(pooled.values())),
                "seeds": [fmean(seed[name][kind].values()) for seed in seeds],
                "difference": asdict(paired_bootstrap(pooled, other)),
                "ratio": fmean(pooled.values()) / max(fmean(other.values()), 1e-9),
            }
    return report


def table(report: Mapping[str, Any], columns: Sequence[str] = KINDS) -> str:
    """Systems by kinds: mean, and the smallest to the largest mean of a seed."""
    rows = [["system", *columns], ["---"] * (len(columns) + 1)]
    for name, kinds in report.items():
        cells = [
            f"{kinds[k]['ndcg@10']:.3f} ({min(kinds[k]['seeds']):.3f} to "
            f"{max(kinds[k]['seeds']):.3f})"
            for k in columns
        ]
        rows.append([name, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plot(report: Mapping[str, Any], path: Path) -> None:
    """nDCG@10 over the thinking budget, a line for each kind; the control is dotted."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Thought1Error('--plot needs matplotlib: pip install "thought1[bench]"') from None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    budgets = [int(name.rpartition("@")[2]) for name in report if name.startswith("t1@")]
    for number, kind in enumerate(KINDS):
        color = f"C{number}"
        axes.plot(
            budgets,
            [report[f"t1@{budget}"][kind]["ndcg@10"] for budget in budgets],
            color=color, marker="o", label=kind,
        )  # fmt: skip
        control = report["control@0"][kind]["ndcg@10"]
        axes.axhline(control, color=color, linestyle=":", linewidth=1)
    axes.set(xlabel="thinking budget (tokens)", ylabel="nDCG@10, unseen questions", ylim=(0, 1.02))
    axes.set_title("Worlds: T1 by budget; dotted: the control, which never thinks")
    axes.legend(ncols=4, loc="lower right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Run, print, write."""
    seeds, made = [], {}
    for seed in options.seeds:
        values, made[seed] = measure_seed(options, seed)
        seeds.append(values)
        print(f"seed {seed}: {made[seed]}", file=sys.stderr, flush=True)
    report = summary(seeds, "control@0")
    print(table(report))
    if options.json:
        content = {**origin("worlds.py", arguments), "models": made, "results": report}
        write_json(options.json, content)
    if options.plot:
        plot(report, options.plot)


def worlds_parser(description: str, recipe: str) -> argparse.ArgumentParser:
    """The options of worlds, and of the models that are trained on them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of world and training")
    parser.add_argument("--output", type=Path, required=True, help="folder of worlds and models")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / recipe)
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help="change a value of the recipe, for all models; may be repeated",
    )  # fmt: skip
    for name in SIZES:
        parser.add_argument(f"--{name}", type=int, help="of the world; default: the standard's")
    parser.add_argument("--json", type=Path, help="write the result here")
    return parser


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """Those of the world that were given."""
    given = {name: getattr(options, name) for name in SIZES}
    return {name: value for name, value in given.items() if value is not None}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = worlds_parser("T1 against the control on generated worlds.", "worlds.toml")
    parser.add_argument("--budgets", type=int, nargs="+", default=[0, 8, 16, 24, 32, 48])
    parser.add_argument("--plot", type=Path, help="draw nDCG@10 over the budget (SVG, PNG or PDF)")
    options = parser.parse_args(arguments)
    options.world = sizes(options)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
