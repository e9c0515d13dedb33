"""Thought 1 as a retriever of LangChain, LlamaIndex and Haystack, a module each."""
