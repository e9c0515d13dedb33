"""Small sentence-transformers models with random weights, made on the spot."""

from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer
from tiny import make_checkpoint


def make_sentence_model(folder: Path, architecture: str = "bert", **prompts: str) -> str:
    """A folder with a model of 32 dimensions that reads at most 40 tokens; returns its name."""
    make_checkpoint(folder / "plain", architecture)
    transformer = Transformer(str(folder / "plain"), max_seq_length=40)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling, Normalize()], prompts=prompts)
    model.save(str(folder / "model"))
    return str(folder / "model")
