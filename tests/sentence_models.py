"""Small sentence-transformers models with random weights, made on the spot."""

from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tiny import make_checkpoint


def make_sentence_model(
    folder: Path, architecture: str = "bert", *, dim: int = 32, **prompts: str
) -> str:
    """A folder with a model of 32 dimensions that reads at most 40 tokens; returns its name.

    Another `dim` is made of them by a dense layer.
    """
    make_checkpoint(folder / "plain", architecture)
    transformer = Transformer(str(folder / "plain"), max_seq_length=40)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    dense = [Dense(32, dim)] if dim != 32 else []
    model = SentenceTransformer(
        modules=[transformer, pooling, *dense, Normalize()], prompts=prompts
    )
    model.save(str(folder / "model"))
    return str(folder / "model")
