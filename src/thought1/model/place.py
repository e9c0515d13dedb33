"""Where a model is: a folder, a GGUF file, an installed package, the hub, or this package itself.

It knows names and files, not what is in them.
"""

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from thought1.model.packages import PACKAGE, known
from thought1.types import Thought1Error

BUNDLED_MODELS = ("t1-nano", "t1-mini-companion", "t1-mini-tuned", "t1-mini", "t1-mini-both")
GGUF = ".gguf"

_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_SHOWN = 5
"""How many files a message names."""


@dataclass(frozen=True, slots=True)
class Place:
    """A model's files."""

    name: str
    """How the model is called: what an index and a result remember."""
    folder: Path
    gguf: str = ""
    """The file in `folder` that holds configuration, tokenizer and weights; "" where they are in
    files of their own."""

    @property
    def file(self) -> Path | None:
        """The GGUF file, where it is one."""
        return self.folder / self.gguf if self.gguf else None


def find_model(name: str | Path) -> Place:
    """The place of a model.

    Args:
        name: a folder, a GGUF file, `package:NAME/PATH` (in an installed Python package), a hub id
            (`owner/name`), a GGUF file on the hub (`owner/name/FILE.gguf`), or the name of a
            bundled model.

    Raises:
        Thought1Error: nothing there, or nothing that can be fetched; or several GGUF files and no
            name among them.
    """
    text = str(name)
    if text in BUNDLED_MODELS:
        return Place(text, bundled_folder(text))
    if text.startswith(PACKAGE):
        return _local(text, Path(locate(text)))
    path = Path(name)
    if path.exists():
        return _local(str(path.resolve()), path)
    if re.fullmatch(rf"[\w.-]+/[\w.-]+/.+\{GGUF}", text, re.IGNORECASE):
        owner, repository, file = text.split("/", 2)
        found = _fetched(text, lambda: hf_hub_download(f"{owner}/{repository}", file))
        return Place(text, found.parent, found.name)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise Thought1Error(f"{name}: no such {_kind(text)}, and not a hub id (owner/name)")
    return Place(text, _fetched(text, lambda: snapshot_download(text, allow_patterns=[*_PATTERNS])))


def bundled_folder(name: str) -> Path:
    """A bundled model's folder: inside the installed package, or in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "models" / name, package.parents[1] / "models" / name):
        if any((folder / f"{kind}config.json").is_file() for kind in ("", "adapter_")):
            return folder
    raise Thought1Error(
        "this installation does not include a model: name one (a folder or a hub id), or train one "
        "with `t1 train recipes/nano-cpu.toml`"
    )


def locate(name: str) -> str:
    """The path of `package:NAME/PATH` inside an installed Python package; any other name's own.

    The package is not imported.

    Raises:
        Thought1Error: the package is not installed, or has no such file or folder.
    """
    if not name.startswith(PACKAGE):
        return name
    package, _, inner = name.removeprefix(PACKAGE).partition("/")
    if not package.isidentifier():
        raise Thought1Error(
            f"{name}: {package!r} is not the name of a Python package ({PACKAGE}NAME/PATH)"
        )
    folders = _package_folders(package)
    if not folders:
        one = known(name)
        command = one.installing if one else f"pip install {package.replace('_', '-')}"
        raise Thought1Error(f"{name}: the Python package is not installed: {command}")
    path = next((folder / inner for folder in folders if (folder / inner).exists()), None)
    if path is None:
        files = {
            file.name for folder in folders for file in (folder / inner).parent.glob(f"*{GGUF}")
        }
        there = f", but {_few(sorted(files))}" if files else ""
        raise Thought1Error(f"{name}: the installed package has no {inner!r}{there}")
    return str(path)


def _package_folders(package: str) -> list[Path]:
    """Where a package is; several folders, if it has no `__init__.py`."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # the running program, which has none
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder) for folder in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.origin and spec.has_location else []


def _local(name: str, path: Path) -> Place:
    if path.is_dir():
        files = sorted(file.name for file in path.iterdir() if file.suffix.lower() == GGUF)
        if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
            return Place(name, path)
        if len(files) > 1:
            raise Thought1Error(
                f"{name} holds several GGUF files ({_few(files)}): name one, as {name}/{files[0]}"
            )
        return Place(name, path, *files)
    if path.suffix.lower() != GGUF:
        raise Thought1Error(f"{name}: no such folder, but a file: name a folder, or a GGUF file")
    return Place(name, path.parent, path.name)


def _few(files: Sequence[str]) -> str:
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more


def _kind(name: str) -> str:
    return "file" if name.lower().endswith(GGUF) else "folder"


def _fetched(name: str, fetch: Callable[[], str]) -> Path:
    try:
        return Path(fetch())
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise Thought1Error(
            f"{name}: no such {_kind(name)} here, and the hub could not deliver it "
            f"({reason(error)})"
        ) from None


def reason(error: Exception) -> str:
    """The first line of an error's message, and the second, where the first announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    shown = lines[:2] if lines and lines[0].endswith(":") else lines[:1]
    return " ".join(shown) or type(error).__name__
