"""Names of span attributes: those of the GenAI semantic conventions, of OpenInference, and our own.

They are written down here because the package that had the GenAI names marks all of them as deprecated and moved, and
the new one is not stable.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "COSTS",
    "DATA_SOURCE",
    "DIMENSIONS",
    "DOCUMENTS",
    "ERROR_TYPE",
    "INPUT",
    "INPUT_MESSAGES",
    "INPUT_TOKENS",
    "KIND",
    "MODEL",
    "MONEY",
    "N_FOUND",
    "N_PAIRS",
    "N_QUERIES",
    "N_TEXTS",
    "OPENINFERENCE_TOKENS",
    "OPERATION",
    "OUTPUT",
    "OUTPUT_TOKENS",
    "QUERY_TEXT",
    "TOP_K",
    "Kind",
]

Kind = Literal["CHAIN", "RETRIEVER", "RERANKER", "EMBEDDING", "LLM"]
"""Kinds of spans in OpenInference."""

KIND = "openinference.span.kind"
INPUT = "input.value"
OUTPUT = "output.value"
OPENINFERENCE_TOKENS = ("llm.token_count.prompt", "llm.token_count.completion")

OPERATION = "gen_ai.operation.name"
MODEL = "gen_ai.request.model"
DATA_SOURCE = "gen_ai.data_source.id"
TOP_K = "gen_ai.retrieval.top_k"
QUERY_TEXT = "gen_ai.retrieval.query.text"
DOCUMENTS = "gen_ai.retrieval.documents"
DIMENSIONS = "gen_ai.embeddings.dimension.count"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
ERROR_TYPE = "error.type"

N_QUERIES = "rag.queries"
N_FOUND = "rag.found"
N_TEXTS = "rag.texts"
N_PAIRS = "rag.pairs"
MONEY = "rag.cost.money"
COSTS = {
    "texts_embedded": "rag.cost.texts_embedded",
    "scorer_calls": "rag.cost.scorer_calls",
    "llm_calls": "rag.cost.llm_calls",
    "llm_tokens": "rag.cost.llm_tokens",
}
"""Attribute by field of :class:`rag.costs.Costs`."""
