"""The folder for what can be measured or computed again. Knows nothing of what lies in it."""

import os
from pathlib import Path


def user_cache() -> Path | None:
    """`$XDG_CACHE_HOME/thought1`, by default `~/.cache/thought1`; None where there is no home."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "thought1"
