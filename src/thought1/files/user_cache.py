"""The folder for what can be measured or computed again. Knows nothing of its content."""

from pathlib import Path

from platformdirs import user_cache_path


def user_cache() -> Path | None:
    """The system's place for it, such as `~/.cache/thought1`; None if there is no home.

    `$XDG_CACHE_HOME/thought1` where that is an absolute path.
    """
    try:
        return user_cache_path("thought1", appauthor=False)
    except RuntimeError:
        return None
