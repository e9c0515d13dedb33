"""Results of searches as JSON data, the form of `t1 search --json`.

Knows results as plain data, not how they were computed.
"""

from typing import Any

from thought1.types import Hit, Receipt, Round, SearchResult, Stage


def receipt_data(receipt: Receipt) -> dict[str, Any]:
    """A receipt for JSON."""
    return {
        "queries": receipt.queries,
        "prompt_tokens": receipt.prompt_tokens,
        "thought_tokens": receipt.thought_tokens,
        "forced": receipt.forced,
        "milliseconds": dict(receipt.milliseconds),
        "rerank_calls": receipt.rerank_calls,
        "rerank_tokens": receipt.rerank_tokens,
        "cached": receipt.cached,
        "left_out": receipt.left_out,
    }


def result_data(result: SearchResult) -> dict[str, Any]:
    """One search result for JSON; "thoughts", "confidence" and "fell_back" are included if
    there are several thoughts, "evidence" if documents were read before thinking, "rounds" if
    there were to be several, "stages" if there are checkpoints, and "left_out" if something could
    not be done."""
    hits = [
        {
            "rank": hit.rank,
            "id": hit.id,
            "score": hit.score,
            "title": hit.title,
            "text": hit.text,
            "metadata": dict(hit.metadata),
            **_passages_data(hit),
            **explanation_data(hit),
        }
        for hit in result.hits
    ]
    thought = None if result.thought is None else result.thought.to_json()
    several = {"thoughts": [each.to_json() for each in result.thoughts]} if result.others else {}
    read = {"evidence": list(result.evidence)} if result.evidence else {}
    rounds = {"rounds": list(map(_round_data, result.rounds))} if result.rounds else {}
    sure = result.confidence
    agreed = {} if sure is None else {"confidence": sure, "fell_back": result.fell_back}
    stages = {"stages": list(map(_stage_data, result.stages))} if result.stages else {}
    missing = [{"step": one.step, "reason": one.reason} for one in result.left_out]
    extra = {
        **several,
        **agreed,
        **read,
        **rounds,
        **stages,
        **({"left_out": missing} if missing else {}),
    }
    return {"query": result.query, "thought": thought, **extra, "hits": hits}


def _passages_data(hit: Hit) -> dict[str, Any]:
    """What was grouped, and what surrounds the hit, where that was requested."""
    grouped = [{"id": id_, "score": score} for id_, score in hit.passages]
    around = {
        name: [{"id": one.id, "text": one.text} for one in documents]
        for name, documents in (("before", hit.before), ("after", hit.after))
        if documents
    }
    return {"passages": grouped, **around} if grouped else around


def explanation_data(hit: Hit) -> dict[str, Any]:
    """Why a hit was found, where that was asked for."""
    found = hit.explanation
    if found is None:
        return {}
    lit = found.highlight
    return {
        "explanation": {
            "parts": [{"text": part.text, "effect": part.effect} for part in found.parts],
            "highlight": lit and {"start": lit.start, "end": lit.end, "score": lit.score},
            "words": [{"word": word, "score": score} for word, score in found.words],
        }
    }


def _stage_data(stage: Stage) -> dict[str, Any]:
    hits = [{"id": id_, "score": score} for id_, score in stage.ranking]
    return {"budget": stage.budget, "milliseconds": stage.milliseconds, "hits": hits}


def _round_data(one: Round) -> dict[str, Any]:
    hops = [{"text": hop.text, "documents": list(hop.documents)} for hop in one.hops]
    return {"evidence": list(one.evidence), "thought": one.thought, "hops": hops}
