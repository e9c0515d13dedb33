"""No message advises an option that the command which prints it lacks.

Messages are the literals of the sources, f-strings and help texts included, docstrings not. An
option in one is in its place

- behind the command that has it: "`t1 index CORPUS -o DIR --overwrite`"; or
- in `thought1.cli`, where every command that reaches the text has it: who reaches what is read
  from the names that definitions mention.

The library is called by many commands and from Python, so only the first is open to it; it may name
an argument (`overwrite=True`), which a command that has such a flag shows as its option.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from thought1.cli import app, main
from thought1.cli.command import in_options
from thought1.types import Thought1Error

SRC = Path(__file__).resolve().parent.parent / "src"
SOURCES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in sorted(SRC.glob("thought1/**/*.py"))
}
CLI = {name: text for name, text in SOURCES.items() if name.startswith("thought1.cli.")}

OPTION = re.compile(r"(?<![\w-])(?:--[a-z][a-z0-9-]*|-[a-zA-Z])(?![\w-])")
FOREIGN = re.compile(r"(?:pip install|torchrun|wget|python) [^:;,]*")
"""Other programs have options too."""

Place = tuple[str, str]
"""Module and name of a definition at its top."""
Options = Mapping[str, set[str]]
"""Command path ("data get") -> its options."""


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from walk(child, f"{path} {name}".strip())


COMMANDS = dict(walk(get_command(app), ""))
OPTIONS = {
    path: {"--help", *(o for p in command.params for o in (*p.opts, *p.secondary_opts))}
    for path, command in COMMANDS.items()
}
CALLBACKS: dict[str, Place] = {
    path: (command.callback.__module__, command.callback.__name__)
    for path, command in COMMANDS.items()
    if command.callback
}


def literals(node: ast.AST, with_docstring: bool = False) -> Iterator[str]:
    """The texts in a definition; what an f-string puts in stands as "{}"."""
    if isinstance(node, ast.JoinedStr):
        parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        yield "".join(map(str, parts))
        inner = [p for p in node.values if not isinstance(p, ast.Constant)]
    elif isinstance(node, ast.Constant):
        inner = []
        if isinstance(node.value, str):
            yield node.value
    else:
        inner = list(ast.iter_child_nodes(node))
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a text that stands alone: a docstring
            inner = [child for child in inner if not _is_docstring(child)]
            if with_docstring and (text := ast.get_docstring(node)):  # type: ignore[arg-type]
                yield text
    for child in inner:
        yield from literals(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def loose_options(text: str, options: Options) -> set[str]:
    """Options in a text that do not stand behind their command."""
    text = FOREIGN.sub("", text)
    found = set()
    for match in OPTION.finditer(text):
        before = re.findall(r"\bt1 ((?:[a-z-]+ )*)", text[: match.start()])
        words = before[-1].split() if before else []
        named = [" ".join(words[:n]) for n in range(len(words), 0, -1)]
        command = next((path for path in named if path in options), None)
        if command is None or match.group() not in options[command]:
            found.add(match.group())
    return found


def definitions(source: str) -> dict[str, ast.AST]:
    found: dict[str, ast.AST] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {t.id: node for t in targets if isinstance(t, ast.Name)}
    return found


def mentions(sources: Mapping[str, str]) -> dict[Place, set[Place]]:
    """Each definition, and what it may mention."""
    graph = {}
    for module, source in sources.items():
        imported = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for name, definition in definitions(source).items():
            names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
            graph[module, name] = {imported.get(word, (module, word)) for word in names}
    return graph


def reachable(graph: Mapping[Place, set[Place]], start: Place) -> set[Place]:
    """The definitions that a command mentions, and those that these mention."""
    found: set[Place] = set()
    new = [start]
    while new:
        place = new.pop()
        if place in graph and place not in found:
            found.add(place)
            new += graph[place]
    return found


def cli_offences(
    sources: Mapping[str, str], callbacks: Mapping[str, Place], options: Options
) -> list[str]:
    graph = mentions(sources)
    reaching: dict[Place, set[str]] = {}
    for path, start in callbacks.items():
        for place in reachable(graph, start):
            reaching.setdefault(place, set()).add(path)
    offences = []
    for module, source in sources.items():
        for name, node in definitions(source).items():
            place = (module, name)
            commands = reaching.get(place, set())
            for text in literals(node, with_docstring=place in callbacks.values()):
                for option in loose_options(text, options):
                    if not commands:
                        offences.append(f"{module}.{name}: {option}, and no command reaches it")
                    offences += [
                        f"{module}.{name}: `t1 {path}` lacks {option}"
                        for path in sorted(commands)
                        if option not in options[path]
                    ]
    return offences


def library_offences(source: str, options: Options) -> list[str]:
    # A word alone is part of a command line that is put together.
    return [
        f"{option} in {text!r}"
        for text in literals(ast.parse(source))
        if not re.fullmatch(r"-\S+", text)
        for option in sorted(loose_options(text, options))
    ]


def test_every_option_that_the_command_line_names_is_one_of_the_command() -> None:
    assert len(CALLBACKS) > 15
    assert cli_offences(CLI, CALLBACKS, OPTIONS) == []


@pytest.mark.parametrize("module", sorted(SOURCES.keys() - CLI.keys()))
def test_the_library_names_no_option(module: str) -> None:
    assert library_offences(SOURCES[module], OPTIONS) == []


SMALL = {"": {"--version"}, "index": {"--skip-bad", "-o"}, "search": {"-k"}}


@pytest.mark.parametrize(
    ("message", "loose"),
    [
        ("raise E(f'{row} (or use --skip-bad)')", ["--skip-bad"]),
        ("log('do without ' '--skip-bad')", ["--skip-bad"]),
        ("raise E(f'make it with `t1 index {path} -o DIR --skip-bad`')", []),
        ("raise E('try t1 search --skip-bad')", ["--skip-bad"]),
        ("raise E('name another file with -o')", ["-o"]),
        ("raise E('pip install --upgrade thought1: then --skip-bad')", ["--skip-bad"]),
        ("command += ['--skip-bad', f'-{number}', 'a -- b', '-1', 'top-k']", []),
        ("def f():\n    '''Use --skip-bad.'''", []),
    ],
)
def test_a_wrong_message_of_the_library_is_seen(message: str, loose: list[str]) -> None:
    found = [offence.partition(" ")[0] for offence in library_offences(message, SMALL)]
    assert found == loose


def test_a_wrong_message_of_the_command_line_is_seen() -> None:
    sources = {
        "c.index": "from c.shared import load\ndef index():\n    'With -o.'\n"
        "    load('--skip-bad')",
        "c.search": "def search(k=TOP):\n    from c.shared import load\n    load()\n"
        "TOP = Option('-k', help='More than --skip-bad')",
        "c.shared": "def load():\n    return _deep()\ndef _deep():\n    raise E('give -o')\n"
        "def unused():\n    raise E('give -k')",
    }
    callbacks = {"index": ("c.index", "index"), "search": ("c.search", "search")}
    assert cli_offences(sources, callbacks, SMALL) == [
        "c.search.TOP: `t1 search` lacks --skip-bad",
        "c.shared._deep: `t1 search` lacks -o",
        "c.shared.unused: -k, and no command reaches it",
    ]


def test_arguments_of_the_library_are_shown_as_options() -> None:
    message = "replace it with overwrite=True, or not_overwrite=True, or model='x', or long=True"
    index, bright = COMMANDS["index"], COMMANDS["bright"]
    assert in_options(message, index.params) == message.replace(" overwrite=True", " --overwrite")
    assert in_options(message, bright.params) == message.replace("long=True", "--long")


def test_an_error_of_a_command_speaks_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise Thought1Error(f"{path} is there: use overwrite=True")

    monkeypatch.setattr("thought1.data.formats.open_corpus", refuse)
    assert main(["index", "notes", "-o", "folder"]) == 2
    assert capsys.readouterr().err == "error: notes is there: use --overwrite\n"
