"""Rerankers: what `contracts.Reranker` promises, a file each; `opening` finds one by its name."""
