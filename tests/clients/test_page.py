"""docs/clients.md: its examples run, and each retriever names the extra that it needs."""

import re
import sys
from ast import literal_eval
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from t1_command import NOTES

from thought1.types import Thought1Error

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("part", range(1, 4))
def test_the_examples_run(
    part: int,
    served: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("T1_TOKEN", served.token)
    monkeypatch.setenv("T1_MODEL", "t1-nano")
    address = 'url="http://127.0.0.1:8000",'
    assert address in BLOCKS[3]
    code = "".join([BLOCKS[0], BLOCKS[part]])
    code = code.replace(address, f'url="{served.url}", index_name="notes",')
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    if part == 3:  # of the server, whose model knows nothing
        found = literal_eval(printed)
        assert len(found) == 2 and set(found) < {text for _, text, *_ in NOTES} | {"It hums."}
    else:
        assert "Most solids expand" in printed
    assert len(BLOCKS) == 4


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("langchain", "langchain_core", "langchain"),
        ("llama_index", "llama_index", "llama-index"),
        ("haystack", "haystack", "haystack"),
    ],
)
def test_a_missing_framework_is_named(
    module: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"thought1.clients.{module}", raising=False)
    with pytest.raises(Thought1Error, match=re.escape(f'pip install "thought1[{extra}]"')):
        import_module(f"thought1.clients.{module}")
