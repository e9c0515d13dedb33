"""The process of test_train_kill.py: imports once, then trains in forks of itself, which it kills.

Each line on its input is a JSON list: seconds, recipe, overrides. A fork trains the recipe, and is
killed (kill -9) after that time. Each answer is one line of JSON: how the fork ended, after how
many seconds, and the last step whose checkpoint it has said to be whole. A fork costs
milliseconds, a new process the seconds that torch and trl take to import.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from select import select

import trl  # noqa: F401  imported before the forks
from transformers import Trainer

from thought1.training.recipe import load_recipe
from thought1.training.reinforce import prepare  # noqa: F401  likewise
from thought1.training.run import train


def train_in_fork(arguments: list[str], pipe: int) -> None:
    """Train, and say each step that is saved; never returns."""
    save = Trainer._save_checkpoint

    def saving(self: Trainer, *positional: object) -> None:
        save(self, *positional)
        os.write(pipe, f"{self.state.global_step}\n".encode())

    Trainer._save_checkpoint = saving
    sys.stdout = sys.stderr
    code = 1
    try:
        train(load_recipe(Path(arguments[0]), arguments[1:]))
        code = 0
    finally:
        os._exit(code)


def run_and_kill(arguments: list[str], seconds: float) -> dict[str, float]:
    begun = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        train_in_fork(arguments, writing)
    os.close(writing)
    said = b""
    while (left := begun + seconds - time.monotonic()) > 0 and select([reading], [], [], left)[0]:
        if not (part := os.read(reading, 65536)):  # it has ended by itself
            break
        said += part
    else:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    took = time.monotonic() - begun
    with os.fdopen(reading, "rb") as rest:
        said += rest.read()
    steps = said.split()
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": took,
        "saved": int(steps[-1]) if steps else 0,
    }


def main() -> None:
    for line in sys.stdin:
        seconds, *arguments = json.loads(line)
        print(json.dumps(run_and_kill(arguments, seconds)), flush=True)


if __name__ == "__main__":
    main()
