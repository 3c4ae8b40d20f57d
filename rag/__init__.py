"""Retrieval pipelines: described in YAML or Python, fitted on documents, searched in batches, measured, tuned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

__version__ = "0.1.0"

# Threads of torch and faiss that wait for each other by spinning: where another program has a core, a question took 20
# times the processor's time. Read when these libraries are loaded, which is later.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if os.path.isfile(os.path.join(os.path.dirname(__file__), "eval")):  # noqa: PTH113, PTH118, PTH120 - light
    raise ImportError(
        "rag/eval is a file: this checkout was made without symbolic links. On Windows, turn on developer mode, then "
        "`git config core.symlinks true` and `git checkout -- rag`; or install the package, which has no links: "
        "pip install rag-pipelines"
    )

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.candidates import Candidates
    from rag.component import Component, Later, Runtime
    from rag.conversation import Turn
    from rag.corpus.chunkers.auto import AutoChunker
    from rag.corpus.chunkers.base import Chunker, SizedChunker, Span
    from rag.corpus.chunkers.markdown import MarkdownChunker
    from rag.corpus.chunkers.none import NoChunker
    from rag.corpus.chunkers.recursive import RecursiveChunker
    from rag.corpus.chunkers.sentence import SentenceChunker
    from rag.corpus.corpus import Corpus
    from rag.corpus.passages import Passages
    from rag.corpus.readers import read_corpus, read_documents
    from rag.costs import Costs, Ledger
    from rag.embedders.adapted import Adapted
    from rag.embedders.base import Embedder
    from rag.embedders.image_text import ImageText
    from rag.embedders.langchain import LangChainEmbedder
    from rag.embedders.lsa import LSA
    from rag.embedders.multi_vector import MultiVectorEmbedder
    from rag.embedders.muvera import MUVERA
    from rag.embedders.pooled_tokens import PooledTokens
    from rag.embedders.reduced import Reduced
    from rag.embedders.sentence_transformer import SentenceTransformerEmbedder
    from rag.embedders.sparse.base import SparseEmbedder
    from rag.embedders.sparse.term_weights import TermWeights
    from rag.embedders.sparse.transformer import SparseTransformerEmbedder
    from rag.errors import (
        ArtifactError,
        ConfigError,
        DataError,
        IncompleteError,
        MissingExtraError,
        ModelError,
        NotFittedError,
        RagError,
        ServerError,
    )
    from rag.filters.answerable import Answerable
    from rag.filters.base import Filter
    from rag.filters.conformal import Conformal
    from rag.filters.cosine_adapter import CosineAdapter
    from rag.filters.gap import GapFilter
    from rag.filters.isotonic import Isotonic
    from rag.filters.platt import Platt
    from rag.filters.score_adapter import ScoreAdapter
    from rag.filters.threshold import Threshold
    from rag.fitting import FitContext
    from rag.learning.remembered import RememberedValue
    from rag.learning.training import Training
    from rag.pipeline import Pipeline
    from rag.queries.base import QueryEncoder
    from rag.queries.identity import IdentityQuery
    from rag.stage import Retriever, Stage
    from rag.store.store import Store
    from rag.summarizer import Source, Summarizer, Summary
    from rag.types import Answer, Document, Hit, Query, SearchResult

_MODULES = {
    "Adapted": "rag.embedders.adapted",
    "Answer": "rag.answer",
    "Answerable": "rag.filters.answerable",
    "ArtifactError": "rag.errors",
    "Candidates": "rag.candidates",
    "AutoChunker": "rag.corpus.chunkers.auto",
    "Chunker": "rag.corpus.chunkers.base",
    "Component": "rag.component",
    "ConfigError": "rag.errors",
    "Conformal": "rag.filters.conformal",
    "Corpus": "rag.corpus.corpus",
    "CosineAdapter": "rag.filters.cosine_adapter",
    "Costs": "rag.costs",
    "DataError": "rag.errors",
    "IncompleteError": "rag.errors",
    "Document": "rag.types",
    "Embedder": "rag.embedders.base",
    "Filter": "rag.filters.base",
    "FitContext": "rag.fitting",
    "GapFilter": "rag.filters.gap",
    "Hit": "rag.types",
    "IdentityQuery": "rag.queries.identity",
    "Isotonic": "rag.filters.isotonic",
    "ImageText": "rag.embedders.image_text",
    "LSA": "rag.embedders.lsa",
    "LangChainEmbedder": "rag.embedders.langchain",
    "Later": "rag.component",
    "Ledger": "rag.costs",
    "MUVERA": "rag.embedders.muvera",
    "PooledTokens": "rag.embedders.pooled_tokens",
    "MultiVectorEmbedder": "rag.embedders.multi_vector",
    "MarkdownChunker": "rag.corpus.chunkers.markdown",
    "MissingExtraError": "rag.errors",
    "ModelError": "rag.errors",
    "NoChunker": "rag.corpus.chunkers.none",
    "NotFittedError": "rag.errors",
    "Passages": "rag.corpus.passages",
    "Pipeline": "rag.pipeline",
    "Platt": "rag.filters.platt",
    "Query": "rag.types",
    "QueryBatch": "rag.batch",
    "QueryEncoder": "rag.queries.base",
    "RagError": "rag.errors",
    "ServerError": "rag.errors",
    "RecursiveChunker": "rag.corpus.chunkers.recursive",
    "Reduced": "rag.embedders.reduced",
    "RememberedValue": "rag.learning.remembered",
    "Retriever": "rag.stage",
    "Runtime": "rag.component",
    "ScoreAdapter": "rag.filters.score_adapter",
    "SearchResult": "rag.types",
    "SentenceChunker": "rag.corpus.chunkers.sentence",
    "SentenceTransformerEmbedder": "rag.embedders.sentence_transformer",
    "SparseEmbedder": "rag.embedders.sparse.base",
    "SparseTransformerEmbedder": "rag.embedders.sparse.transformer",
    "TermWeights": "rag.embedders.sparse.term_weights",
    "SizedChunker": "rag.corpus.chunkers.base",
    "Source": "rag.summarizer",
    "Span": "rag.corpus.chunkers.base",
    "Stage": "rag.stage",
    "Store": "rag.store.store",
    "Summarizer": "rag.summarizer",
    "Summary": "rag.summarizer",
    "Threshold": "rag.filters.threshold",
    "Training": "rag.learning.training",
    "Turn": "rag.conversation",
    "read_corpus": "rag.corpus.readers",
    "read_documents": "rag.corpus.readers",
}

__all__ = [
    "LSA",
    "MUVERA",
    "Adapted",
    "Answer",
    "Answerable",
    "ArtifactError",
    "AutoChunker",
    "Candidates",
    "Chunker",
    "Component",
    "ConfigError",
    "Conformal",
    "Corpus",
    "CosineAdapter",
    "Costs",
    "DataError",
    "Document",
    "Embedder",
    "Filter",
    "FitContext",
    "GapFilter",
    "Hit",
    "IdentityQuery",
    "ImageText",
    "IncompleteError",
    "Isotonic",
    "LangChainEmbedder",
    "Later",
    "Ledger",
    "MarkdownChunker",
    "MissingExtraError",
    "ModelError",
    "MultiVectorEmbedder",
    "NoChunker",
    "NotFittedError",
    "Passages",
    "Pipeline",
    "Platt",
    "PooledTokens",
    "Query",
    "QueryBatch",
    "QueryEncoder",
    "RagError",
    "RecursiveChunker",
    "Reduced",
    "RememberedValue",
    "Retriever",
    "Runtime",
    "ScoreAdapter",
    "SearchResult",
    "SentenceChunker",
    "SentenceTransformerEmbedder",
    "ServerError",
    "SizedChunker",
    "Source",
    "Span",
    "SparseEmbedder",
    "SparseTransformerEmbedder",
    "Stage",
    "Store",
    "Summarizer",
    "Summary",
    "TermWeights",
    "Threshold",
    "Training",
    "Turn",
    "read_corpus",
    "read_documents",
]

__getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
