"""Pipelines in LangChain: as a retriever, and their stages as a document compressor."""

from rag.langchain.compressor import PipelineCompressor
from rag.langchain.retriever import PipelineRetriever

__all__ = ["PipelineCompressor", "PipelineRetriever"]
