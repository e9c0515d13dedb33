"""Keys of recipes that have been renamed: the old ones are still read, until the next version.

It knows keys, not their values.
"""

from collections.abc import Mapping
from typing import Any

STAGE_KEYS: Mapping[str, str] = {
    "own_every": "sampled_every",
    "own_folds": "sampled_folds",
    "own_samples": "samples_per_query",
    "own_temperature": "sampled_temperature",
    "own_top_p": "sampled_top_p",
    "share_own_end": "share_sampled_end",
    "share_own_start": "share_sampled_start",
}
"""Old key of a table in `[[stages]]` -> new key."""


def rename_stage_keys(content: dict[str, Any]) -> list[str]:
    """Rename the old keys in a recipe's stages, in place; returns the old ones that were found.

    Raises:
        ValueError: a stage has both the old and the new name of a key.
    """
    stages = content.get("stages")
    found: set[str] = set()
    for number, stage in enumerate(stages if isinstance(stages, list | tuple) else ()):
        for old in STAGE_KEYS.keys() & stage.keys() if isinstance(stage, dict) else ():
            new = STAGE_KEYS[old]
            if new in stage:
                raise ValueError(f"stages[{number}]: {old} is now {new}: remove {old}")
            stage[new] = stage.pop(old)
            found.add(old)
    return sorted(found)


def rename_override(override: str) -> tuple[str, list[str]]:
    """`stages.1.OLD=VALUE` with the new key, and the old key in a list; others as they are."""
    path, equals, value = override.partition("=")
    *parents, key = path.split(".")
    if len(parents) != 2 or parents[0] != "stages" or key not in STAGE_KEYS:
        return override, []
    return f"{'.'.join([*parents, STAGE_KEYS[key]])}{equals}{value}", [key]
