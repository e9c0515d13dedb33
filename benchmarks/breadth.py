"""How much of the package one job touches: its modules imported, its functions entered.

A reader who follows a job through the code meets so many files and so many functions. Four jobs,
each in a fresh process: one search, one evaluation, one recipe of stages 1 and 2, and one step of
stage 3, over a generated world and a small model from scratch:

    python benchmarks/breadth.py                          # this checkout
    python benchmarks/breadth.py --source ../before/src   # another one, for comparison

The figures depend on no clock and no processor. It uses the command line alone, so that it runs
on any version.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL_WORLD = ["--entities", "60", "--distractors", "10", "--questions", "100", "--tests", "5"]

# Runs `t1` with the arguments behind it, then tells on stdout's last line what it has entered.
PROBE = """
import json, sys, threading
from pathlib import Path
entered = set()
def watch(frame, event, argument):
    if event == "call":
        entered.add(frame.f_code)
threading.setprofile(watch)
sys.setprofile(watch)
from thought1.cli import main
code = main(sys.argv[1:])
sys.setprofile(None)
import thought1
home = str(Path(thought1.__file__).parent)
ours = [c for c in entered if c.co_filename.startswith(home) and not c.co_name.startswith("<")]
modules = [name for name in sys.modules if name.split(".")[0] == "thought1"]
print()
print(json.dumps({"code": code, "modules": len(modules), "functions": len(ours),
                  "files": len({c.co_filename for c in ours})}))
"""

RECIPE = """
name = "breadth"
output = "{folder}/runs"
data = "{folder}/world"
[model]
base = "scratch"
query_template = "question : {{evidence}}{{text}} thought :"
document_template = "document : {{text}}"
max_query_tokens = 64
max_document_tokens = 48
thought_budget = 8
[model.scratch]
layers = 1
hidden_size = 32
heads = 2
max_positions = 160
[[stages]]
name = "represent"
stage = "represent"
max_steps = 2
queries_per_batch = 4
positives_per_query = 1
[[stages.sources]]
path = "."
kind = "beir"
id_prefix = "train:"
[[stages]]
name = "reason"
stage = "reason"
max_steps = 2
queries_per_batch = 4
positives_per_query = 1
max_thought_tokens = 48
[[stages.sources]]
path = "."
kind = "beir"
id_prefix = "train:"
thoughts = "thoughts.jsonl"
evidence = "evidence.jsonl"
"""

STEP = """
name = "breadth-reinforce"
output = "{folder}/reinforced"
data = "{folder}/world"
[model]
base = "{folder}/runs/2-reason/model"
query_template = "question : {{evidence}}{{text}} thought :"
document_template = "document : {{text}}"
max_query_tokens = 64
max_document_tokens = 48
thought_budget = 8
[[stages]]
name = "reinforce"
stage = "reinforce"
max_steps = 1
queries_per_batch = 2
positives_per_query = 1
max_thought_tokens = 8
[[stages.sources]]
path = "."
kind = "beir"
id_prefix = "train:"
evidence = "evidence.jsonl"
[stages.reinforce]
group_size = 4
rewards = [{{ name = "log_rank" }}]
"""


def main() -> None:
    """Count, and print one line a job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="the folder of thought1/")
    source = parser.parse_args().source.resolve()
    print(f"{'job':<22}{'modules imported':>18}{'files entered':>16}{'functions entered':>20}")
    with tempfile.TemporaryDirectory(prefix="t1-breadth-") as scratch:
        for job, found in counted(Path(scratch), source).items():
            print(f"{job:<22}{found['modules']:>18}{found['files']:>16}{found['functions']:>20}")


def counted(folder: Path, source: Path) -> dict[str, dict[str, int]]:
    """What each job touches; the jobs run in their order, since one needs what another makes."""
    world, index = folder / "world", folder / "notes.index"
    (folder / "recipe.toml").write_text(RECIPE.format(folder=folder))
    (folder / "step.toml").write_text(STEP.format(folder=folder))
    run(source, ["worlds", str(world), *SMALL_WORLD])
    found = {}
    found["one recipe"] = run(source, ["train", str(folder / "recipe.toml")])
    model = ["--model", str(folder / "runs" / "2-reason" / "model")]
    run(source, ["index", str(world), "-o", str(index), *model])
    found["one search"] = run(source, ["search", str(index), "who", "--think", "4"])
    measured = ["evaluate", str(world), "--split", "test", "--index", str(index), "--think", "4"]
    found["one evaluation"] = run(source, [*measured, "--results", str(folder / "results")])
    found["one step of stage 3"] = run(source, ["train", str(folder / "step.toml")])
    return found


def run(source: Path, arguments: Sequence[str]) -> dict[str, int]:
    """What `t1` with these arguments touches, in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode or not last.startswith("{") or json.loads(last)["code"]:
        sys.exit(f"t1 {' '.join(arguments)} failed:\n{done.stderr}")
    found: dict[str, int] = json.loads(last)
    return found


if __name__ == "__main__":
    main()
