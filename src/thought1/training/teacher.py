"""The teacher: a sentence-transformers model whose vectors a stage distils, kept on disk.

It knows texts and vectors, nothing of the student.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from thought1.data.hashing import hash_file
from thought1.engines.training_precision import trains_in_bfloat16
from thought1.files.whole import write_whole
from thought1.model.loading import check_pointers
from thought1.model.sentence_model import SentenceModel
from thought1.model.weights import hash_weights
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

TeacherVectors = Mapping[str, npt.NDArray[np.float16]]


def teach(
    model: Path, texts: Iterable[str], cache: Path, *, trust_remote_code: bool = False
) -> TeacherVectors:
    """L2-normalised teacher vectors (e,) by text; computed once, then read from `cache`.

    Raises:
        Thought1Error: sentence-transformers is not installed, or cannot load the model.
    """
    distinct = sorted(set(texts))
    check_pointers(str(model), model)
    # A teacher that was trained again in the same folder is another teacher.
    known = [str(model), teacher_weights(model), _configuration(model)]
    key = hashlib.sha256("\0".join([*known, *distinct]).encode()).hexdigest()[:16]
    file = cache / f"teacher-{key}.npy"
    if not file.is_file():
        logger.info("the teacher %s encodes %d texts", model, len(distinct))
        vectors = _encode(model, distinct, trust_remote_code).astype(np.float16)
        with write_whole(file) as stream:
            np.save(stream, vectors)
    rows = np.load(file, mmap_mode="r")
    return {text: rows[i] for i, text in enumerate(distinct)}


def teacher_weights(model: Path) -> str:
    """`hash_weights` over the transformer and the modules after it; "" for a hub id.

    A teacher from the hub is identified by its name only.
    """
    return hash_weights(model, _modules(model)) if model.is_dir() else ""


def _modules(model: Path) -> list[str]:
    """The folders of the modules that have their own, such as a projection."""
    listed = model / "modules.json"
    modules = json.loads(listed.read_text("utf-8")) if listed.is_file() else []
    return [module["path"] for module in modules if module["path"]]


def _configuration(model: Path) -> str:
    """SHA-256 over the configuration of all modules, prompts and lengths included."""
    if not model.is_dir():
        return ""
    files = [path for folder in ("", *_modules(model)) for path in (model / folder).glob("*.json")]
    named = {path.relative_to(model).as_posix(): hash_file(path) for path in files}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def _encode(model: Path, texts: Sequence[str], trust_remote_code: bool) -> npt.NDArray[np.float32]:
    try:
        teacher = SentenceModel.load(str(model), trust_remote_code=trust_remote_code).model
    except Thought1Error as error:
        raise Thought1Error(f"the teacher {model} cannot be loaded: {error}") from error
    device = teacher.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=trains_in_bfloat16(device)):
        vectors = teacher.encode(
            list(texts),
            batch_size=128,
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=True,
        )
    found: npt.NDArray[np.float32] = vectors.float().cpu().numpy()
    return found


def mine_negatives(
    queries: Mapping[str, str],
    answers: Mapping[str, frozenset[str]],
    pool: Sequence[str],
    teacher: TeacherVectors,
    depth: int,
) -> dict[str, list[str]]:
    """For each query id the `depth` documents of `pool` most similar to it that do not answer it.

    `queries` maps ids to texts, `answers` query texts to relevant texts. Exact search.
    """
    distinct = list(dict.fromkeys(pool))
    documents_ND = np.stack([teacher[text] for text in distinct]).astype(np.float32)
    mined = {}
    for query_id, query in queries.items():
        known = answers[query]
        scores_N = documents_ND @ teacher[query].astype(np.float32)
        best = np.argsort(-scores_N, kind="stable")[: depth + len(known)]
        mined[query_id] = [distinct[i] for i in best if distinct[i] not in known][:depth]
    return mined
