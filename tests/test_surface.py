"""What a user can name, frozen: `__all__`, and every command and option of `t1`.

A change here is a change for users. If it is meant, write the new surface down, in the same
commit, with `python tests/test_surface.py`, and a line in CHANGELOG.md.
"""

import json
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

import thought1

SNAPSHOT = Path(__file__).parent / "golden" / "surface.json"
ADVICE = "the public surface has changed; if it is meant, run: python tests/test_surface.py"


def spelling(parameter: Any) -> str:
    """`CORPUS` for an argument, `-k/--top` for an option, with "required" where it is."""
    if parameter.param_type_name == "argument":
        spelled = parameter.name.upper()
    else:
        spelled = "/".join([*parameter.opts, *parameter.secondary_opts])
    return f"{spelled} required" if parameter.required else spelled


def walk(command: Any, path: str) -> dict[str, list[str]]:
    """Command path -> its parameters, for `command` and everything below it."""
    surface = {path: sorted(spelling(parameter) for parameter in command.params)}
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            surface |= walk(child, f"{path} {name}")
    return surface


def current() -> dict[str, Any]:
    from thought1.cli import app

    return {"python": sorted(thought1.__all__), "command line": walk(get_command(app), "t1")}


def test_surface_is_as_written_down() -> None:
    assert current() == json.loads(SNAPSHOT.read_text(encoding="utf-8")), ADVICE


def test_every_public_name_resolves() -> None:
    for name in thought1.__all__:
        assert getattr(thought1, name) is not None, name
        assert name in dir(thought1)


if __name__ == "__main__":
    text = json.dumps(current(), indent=2, sort_keys=True, ensure_ascii=False)
    SNAPSHOT.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {SNAPSHOT}")
