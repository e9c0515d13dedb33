"""A sentence-transformers model as a system: its own prompts, cosine, all documents scored."""

from thought1.evaluation.systems.base import (
    SystemFacts,
    SystemOptions,
    revision_of,
    short_name,
    unknown_system,
)
from thought1.evaluation.systems.dense import DenseSystem, EmbedderEncoder
from thought1.model.sentence_identity import weights_of
from thought1.model.sentence_model import SentenceModel


def open_sentence_transformer(spec: str, options: SystemOptions) -> DenseSystem:
    """The model in the folder, or under the hub id, after `st:`.

    Raises:
        Thought1Error: there is no such model, or sentence-transformers is not installed.
    """
    kind, _, name = spec.partition(":")
    if not name:
        raise unknown_system(spec)
    model = SentenceModel.load(name, trust_remote_code=options.trust_remote_code)
    weights = weights_of(name)
    facts = SystemFacts(
        short_name(name),
        kind,
        revision_of(weights),
        weights=weights,
        settings=model.settings,
        model=name,
    )
    return DenseSystem(facts, EmbedderEncoder(model))
