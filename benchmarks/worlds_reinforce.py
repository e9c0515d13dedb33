"""What does reinforcement add, where trajectories abound, are scarce, or are needlessly long?

    python benchmarks/worlds.py --seeds 0 --output runs/worlds
    python benchmarks/worlds_reinforce.py --base runs/worlds --output runs/worlds-reinforce

For each seed and setting: a world in which all, a share or long ones of the composed training
questions' trajectories are kept. Stages 1 and 2 (`recipes/worlds.toml`, from the language model of
`--base`) see the questions with a trajectory alone: a vector that has learnt the answers of the
others by heart would not need a thought, and their reward would say nothing about it. Stage 3
(`recipes/worlds-reinforce.toml`) asks all composed ones; the questions of its validation are in no
stage. Asked at the end are the test questions, greedily. What is finished in `--output` is not
trained again.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from record import ROOT, exit_code, origin, write_json
from worlds import KINDS, Values, World

from thought1.data.worlds import WorldSettings, make_world, write_world
from thought1.evaluation.statistics.protocol import bootstrap_ci, paired_bootstrap
from thought1.t1 import T1
from thought1.training.data.sources import read_ids
from thought1.training.recipe import load_recipe
from thought1.training.run import train

SETTINGS: dict[str, dict[str, Any]] = {
    "all": {},
    "a tenth": {"share_thoughts": 0.1},
    "a hundredth": {"share_thoughts": 0.01},
    "long": {"thoughts": "long"},
}
STAGES = ("1", "1+2", "1+2+3")


VALIDATION = ROOT / "recipes" / "worlds-validation.txt"


def train_setting(options: argparse.Namespace, seed: int, name: str) -> dict[str, Any]:
    """The folders of the model after each stage, and the minutes of stages 1 and 2, and of 3."""
    where = options.output / f"{name.replace(' ', '-')}-{seed}"
    world = where / "world"
    if not world.is_dir():
        write_world(make_world(WorldSettings(seed=seed, **SETTINGS[name])), world)
    budget = 96 if name == "long" else 48
    language = where / "supervised" / "1-language"
    if not (language / "model").is_dir():
        part = language / "part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(options.base / f"t1-{seed}" / "1-language" / "model", part)
        part.replace(language / "model")
    supervised_on, reinforced_on = left_out(world, where)
    common = [f"data={world}", f"seed={seed}", f"model.thought_budget={budget}"]
    begun = time.monotonic()
    recipe = load_recipe(
        ROOT / "recipes" / "worlds.toml",
        [*common, f"output={where / 'supervised'}", f"stages.2.max_steps={options.reason_steps}",
         f"stages.1.sources.0.exclude={supervised_on}",
         f"stages.2.sources.0.exclude={supervised_on}", f"stages.2.max_thought_tokens={budget}"],
    )  # fmt: skip
    supervised = train(recipe)
    between = time.monotonic()
    recipe = load_recipe(
        ROOT / "recipes" / "worlds-reinforce.toml",
        [*common, f"output={where / 'reinforced'}", f"model.base={supervised}",
         f"stages.0.sources.0.exclude={reinforced_on}", f"stages.0.max_thought_tokens={budget}",
         *options.settings],
    )  # fmt: skip
    reinforced = train(recipe)
    return {
        "folders": [str(where / "supervised" / "2-represent" / "model"), str(supervised),
                    str(reinforced)],
        "minutes": [round((between - begun) / 60, 1), round((time.monotonic() - between) / 60, 1)],
        "budget": budget,
    }  # fmt: skip


def left_out(world: Path, folder: Path) -> tuple[Path, Path]:
    """Files of the questions that stages 1 and 2, and that stage 3, do not see.

    No stage sees those of the validation; stages 1 and 2 none without a trajectory; stage 3 none
    of one hop, which stage 2 answers.
    """
    held = read_ids(VALIDATION)
    thoughts = {row["_id"] for row in _rows(world / "thoughts.jsonl")}
    asked = {row["_id"]: row["metadata"]["kind"] for row in _rows(world / "queries.jsonl")}
    dropped = {
        "supervised": held | (asked.keys() - thoughts),
        "reinforced": held | {q for q, kind in asked.items() if kind == "hop1"},
    }
    files = []
    for name, ids in dropped.items():
        files.append((folder / f"{name}-without.txt").resolve())
        files[-1].write_text("".join(f"{q}\n" for q in sorted(ids)), "utf-8")
    return files[0], files[1]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def measure(
    options: argparse.Namespace, seed: int, name: str
) -> tuple[dict[str, Values], dict[str, Any]]:
    """Stage -> kind -> query -> nDCG@10 of one setting and seed; and how the models were made."""
    made = train_setting(options, seed, name)
    world = World(options.output / f"{name.replace(' ', '-')}-{seed}" / "world")
    values: dict[str, Values] = {}
    made["tokens"] = {}
    for stage, folder in zip(STAGES, made["folders"], strict=True):
        model = T1.from_pretrained(folder, dtype="float32", device="cpu")
        # Before stage 2 a model has not learnt to think.
        budget = 0 if stage == "1" else made["budget"]
        found, tokens = world.measure(model, budget)
        made["tokens"][stage] = round(tokens, 2)
        values[stage] = {
            kind: {f"{seed}/{q}": v for q, v in of.items()} for kind, of in found.items()
        }
    return values, made


def summary(seeds: Sequence[Mapping[str, Values]]) -> dict[str, Any]:
    """Stage -> kind -> mean, interval, means of the seeds; difference of stage 3 to stage 2."""
    report: dict[str, Any] = {}
    pooled = {
        stage: {kind: {q: v for s in seeds for q, v in s[stage][kind].items()} for kind in KINDS}
        for stage in STAGES
    }
    for stage in STAGES:
        report[stage] = {}
        for kind in KINDS:
            found = pooled[stage][kind]
            difference = paired_bootstrap(found, pooled["1+2"][kind])
            report[stage][kind] = {
                "ndcg@10": fmean(found.values()),
                "ci": bootstrap_ci(list(found.values())),
                "seeds": [fmean(s[stage][kind].values()) for s in seeds],
                "difference": asdict(difference),
            }
    return report


def table(results: Mapping[str, Any], tokens: Mapping[str, Mapping[str, float]]) -> str:
    """Settings and stages by kinds; in brackets what stage 3 adds to stage 2, with its interval."""
    rows = [["trajectories", "stages", "tokens", *KINDS], ["---"] * (len(KINDS) + 3)]
    for name, stages in results.items():
        for stage, kinds in stages.items():
            cells = []
            for kind in KINDS:
                d = kinds[kind]["difference"]
                added = f" ({d['mean']:+.3f} [{d['low']:.3f}, {d['high']:.3f}])"
                cells.append(f"{kinds[kind]['ndcg@10']:.3f}" + (added if stage == "1+2+3" else ""))
            rows.append([name, stage, f"{tokens[name][stage]:.1f}", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Run, print, write."""
    results, models, tokens = {}, {}, {}
    for name in options.trajectories:
        found = [measure(options, seed, name) for seed in options.seeds]
        results[name] = summary([values for values, _ in found])
        models[name] = {s: made for s, (_, made) in zip(options.seeds, found, strict=True)}
        tokens[name] = {
            stage: fmean(made["tokens"][stage] for _, made in found) for stage in STAGES
        }
        print(f"{name}: {models[name]}", file=sys.stderr, flush=True)
    print(table(results, tokens))
    if options.json:
        content = {**origin("worlds_reinforce.py", arguments), "models": models, "results": results}
        write_json(options.json, json.loads(json.dumps(content)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Stage 3 on generated worlds.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--base", type=Path, required=True, help="--output of worlds.py")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--trajectories", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="NAME"
    )
    parser.add_argument("--reason-steps", type=int, default=1000, help="of stage 2")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
        help="change a value of the recipe of stage 3; may be repeated",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
