"""Where a number comes from: command, date, commit, machine, versions, hashes, memory.

Knows neither results nor systems, and not torch: what a device adds, its user says.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from thought1.data.outputs import whole_file

PACKAGES = (
    "thought1",
    "torch",
    "transformers",
    "sentence-transformers",
    "bm25s",
    "PyStemmer",
    "lancedb",
    "numpy",
    "ir-measures",
    "pytrec-eval-terrier",
)


def origin(command: Sequence[str], code: Path = Path(__file__)) -> dict[str, Any]:
    """What is known about a result that `command` makes now.

    Args:
        code: a file of the checkout whose commit is recorded; by default of Thought 1 itself. Where
            git does not track it, as in an installed wheel, or without git, the commit is None.
    """
    tracked = _git(code.parent, "ls-files", "--error-unmatch", code.name) is not None
    commit = _git(code.parent, "rev-parse", "HEAD") if tracked else None
    changes = _git(code.parent, "status", "--porcelain", "--untracked-files=no")
    return {
        "command": list(command),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "uncommitted": None if commit is None else bool(changes),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **_versions()},
    }


def peak_memory_mb() -> float | None:
    """The most memory that this process has held so far, in MB of 10^6 bytes; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, KiB on Linux and the BSDs (getrusage(2) of each).
    return float(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def version_of(package: str) -> str | None:
    """The installed version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the whole file or nothing; Thought1Error if it cannot be written."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as stream:
        # Bytes of a path that are not text become what JSON can express: an escape.
        stream.write(text.encode("utf-8", "backslashreplace"))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _versions() -> dict[str, str]:
    return {name: found for name in PACKAGES if (found := version_of(name))}
