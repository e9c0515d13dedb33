"""Validation of a model that thinks: at budget 0, and after its own and the reference thoughts.

It knows a collection in memory, the gauge of `evaluation.faithfulness` and a stage's sources; no
trainer.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from thought1.evaluation.thoughts.faithfulness import JudgedQuestions, measure_faithfulness
from thought1.t1 import T1
from thought1.training.data.batches import Rows, sft_batch
from thought1.training.data.sources import TrainingPair
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator, thought_rows
from thought1.training.data.trajectories import read_thoughts
from thought1.training.losses import IGNORE_INDEX
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.recipe import Recipe, StageConfig
from thought1.training.validation import Validation


def thought_scores(
    recipe: Recipe, stage: StageConfig, validation: Validation
) -> Callable[[T1], dict[str, float]]:
    """What `Validate` calls in stage 2.

    The scores: `ndcg@10` and `recall@100` without a thought; `thinking_ndcg@10` after own thoughts
    of at most `max_thought_tokens`; with reference thoughts `reference_ndcg@10`, `gap` (reference -
    own) and `thought_loss` (nats a token, reference given); of the gauge `swapped_ndcg@10` and
    `swapped_cosine`; `thought_tokens` (mean) and `forced` (share). The gauge's table is printed,
    with its warning.
    """
    references = _references(recipe, stage, validation)

    def score(model: T1) -> dict[str, float]:
        documents_ND = validation.encode(model)
        scores = validation.score(model, documents_ND)
        judged = JudgedQuestions(
            validation.queries,
            validation.qrels,
            list(validation.documents),
            documents_ND,
            references or None,
        )
        gauge = measure_faithfulness(model, judged, stage.max_thought_tokens)
        print("\n".join(gauge.table()), flush=True)
        for name, row in (("thinking", "own"), ("swapped", "swapped"), ("reference", "reference")):
            if row in gauge.rows:
                scores[f"{name}_ndcg@10"] = gauge.rows[row].ndcg
        scores |= {
            "swapped_cosine": gauge.rows["swapped"].cosine,
            "thought_tokens": gauge.mean_length,
            "forced": gauge.forced,
        }
        if references and gauge.gap is not None:
            loss = _thought_loss(model, validation, references, stage.max_thought_tokens)
            scores |= {"gap": gauge.gap, "thought_loss": loss}
        return scores

    return score


def _references(
    recipe: Recipe, stage: StageConfig, validation: Validation
) -> dict[str, str] | None:
    """The reference thoughts of all validation questions, in the form that the stage trains."""
    assert recipe.validation is not None
    for source in stage.sources:
        if source.thoughts and source.path == recipe.validation.path:
            found = read_thoughts(source, Path(recipe.data), validation.queries)
            if len(found) == len(validation.queries):
                return found
    return None


@torch.inference_mode()
def _thought_loss(
    model: T1, validation: Validation, references: dict[str, str], most: int
) -> float:
    """Mean next-token loss over the reference thoughts and their ends, in nats a token.

    An empty one (a pattern whose fields are empty) trains nothing, and does not count.
    """
    known = [q for q in validation.queries if references[q]]
    pairs = [TrainingPair(q, validation.queries[q], (), references[q]) for q in known]
    rows = thought_rows(model, pairs, Rows({}, {}, {}), most)
    collate = ThoughtCollator(rows, SampledThoughts(Path()), language=True)
    embedder = TrainedEmbedder(model.checkpoint.model, language=True)
    total, count = 0.0, 0
    for start in range(0, len(pairs), 32):
        inputs = collate.queries(sft_batch([p.query_id for p in pairs[start : start + 32]]))
        device = model.checkpoint.model.device
        ids, segments, labels = (
            inputs[f"query_{name}"].to(device) for name in ("ids", "segments", "labels")
        )
        _, loss = embedder(ids, segments, labels)
        tokens = int((labels != IGNORE_INDEX).sum())
        total, count = total + float(loss) * tokens, count + tokens
    return total / max(count, 1)
