"""Fitting: contexts in which components fit themselves and follow changes of documents."""

from rag.fitting.context import FitContext
from rag.fitting.training import Upstream
from rag.fitting.updates import UpdateContext

__all__ = ["FitContext", "UpdateContext", "Upstream"]
