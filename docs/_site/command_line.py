"""The commands of `t1` as one page of Markdown, from the program itself."""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from thought1.cli import app

INTRODUCTION = """# Command line

Every command of `t1`, as `t1 COMMAND --help` shows it. Exit codes: 0, done; 2, the input is wrong;
1, an unexpected failure; 130, interrupted.
"""


def write_commands() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *_group(get_command(app), "t1")])


def _group(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        yield from _command(command, f"{path} {name}")
        if isinstance(command, TyperGroup):
            yield from _group(command, f"{path} {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    pieces = [path, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)]
    if isinstance(command, TyperGroup):
        pieces.append("COMMAND")
    yield f"## {path}\n\n{_prose(command.help or '')}\n\n```text\n{' '.join(pieces)}\n```\n"
    if arguments or options:
        yield "| argument, option | |\n|---|---|"
        yield from (_row(_argument(one), one) for one in arguments)
        yield from (_row(_option(one), one) for one in options)
        yield ""


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar or _kind(parameter)}"


def _kind(parameter: Any) -> str:
    """Such as TEXT or INTEGER."""
    return str(parameter.display_type).upper()


def _row(name: str, parameter: Any) -> str:
    told = _prose(parameter.help or "").replace("|", "\\|")
    if parameter.required:
        told += " Required."
    elif parameter.default not in (None, False, (), []) and "efault" not in told:
        told += f" Default: {parameter.default}."
    code = name.replace("|", "\\|")
    return f"| `{code}` | {told} |"


def _prose(text: str) -> str:
    """Text of a terminal, in which no character is markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{c}" if c in "*_[]<>#" else c for c in plain)
