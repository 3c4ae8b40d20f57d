"""Fitting: what components are given to fit themselves, and to keep up with documents that change."""

from rag.fitting.context import FitContext
from rag.fitting.training import Upstream
from rag.fitting.updates import UpdateContext

__all__ = ["FitContext", "UpdateContext", "Upstream"]
