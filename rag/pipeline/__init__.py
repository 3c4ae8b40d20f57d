"""Pipelines: a chunker, a retriever and stages, fitted on documents and searched in batches."""

from rag.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
