"""What a sentence-transformers model is: hashes over whatever in its files decides its vectors.

It knows files, and loads no model.
"""

import json
from pathlib import Path
from typing import Any

from thought1.data.hashing import hash_file, hash_json
from thought1.model.place import locate
from thought1.model.sentence_adapter import is_tuned, read_base, tuned_weights


def hash_files(name: str) -> str:
    """`SentenceModel.hash` of a model that is not loaded.

    Raises:
        Thought1Error: there is no such package.
    """
    return hash_json(dict(identity(name)))


def weights_of(name: str) -> str | None:
    """SHA-256 over the weight files of a folder, or of the snapshot of a hub id in the cache.

    None if there are neither safetensors nor .bin files.
    """
    folder = folder_of(name)
    if is_tuned(folder):
        return tuned_weights(folder, weights_of(read_base(name, folder).model) or "")
    # Modules after the transformer, such as a projection, have folders of their own.
    files = [path for end in ("safetensors", "bin") for path in folder.rglob(f"*.{end}")]
    hashes = {str(path.relative_to(folder)): hash_file(path) for path in files}
    return hash_json(hashes) if hashes else None


def identity(name: str) -> dict[str, str | int]:
    """What decides a vector, by name: the contents of the files, except for version numbers."""
    folder = folder_of(name)
    if not is_tuned(folder):
        return {"weights": _weights(folder), "encoder settings": _settings(folder)}
    base = identity(read_base(name, folder).model)
    return base | {"weights": tuned_weights(folder, str(base["weights"]))}


def folder_of(name: str) -> Path:
    """Where the files of a model are."""
    folder = Path(locate(name))
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, local_files_only=True))


def _parts(folder: Path) -> list[Path]:
    """The folders of its modules, in their order; the first is the transformer's."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return [folder]
    modules = json.loads(listed.read_text(encoding="utf-8"))
    return list(dict.fromkeys([folder, *(folder / str(module["path"]) for module in modules)]))


def _weights(folder: Path) -> str:
    """SHA-256 over the weight files of all modules, whatever else is in the folder."""
    hashes: dict[str, str] = {}
    for part in _parts(folder):
        files = sorted(part.glob("*.safetensors")) or sorted(part.glob("pytorch_model*.bin"))
        hashes |= {file.relative_to(folder).as_posix(): hash_file(file) for file in files}
    return hash_json(hashes)


def _settings(folder: Path) -> str:
    """SHA-256 over the JSON files of all modules and the tokenizer, without version numbers."""
    found = {}
    for part in _parts(folder):
        for file in sorted(part.glob("*.json")):
            content = json.loads(file.read_text(encoding="utf-8"))
            found[file.relative_to(folder).as_posix()] = _lasting(content)
    vocabularies = [file for name in ("vocab.txt", "*.model") for file in folder.glob(name)]
    return hash_json([found, {file.name: hash_file(file) for file in sorted(vocabularies)}])


def _lasting(content: Any) -> Any:
    """JSON data without what names a version of a library."""
    if not isinstance(content, dict):
        return content
    return {
        key: _lasting(value)
        for key, value in content.items()
        if not key.strip("_").endswith("version")
    }
