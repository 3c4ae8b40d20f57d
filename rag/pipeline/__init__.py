"""Pipelines: a chunker, a retriever and stages, fitted on documents and searched in batches."""

from rag.pipeline.following import Following, Snapshot
from rag.pipeline.pipeline import Pipeline

__all__ = ["Following", "Pipeline", "Snapshot"]
