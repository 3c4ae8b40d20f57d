"""Work done by many machines."""

from rag.cluster.ray import Ray
from rag.cluster.work import Work

__all__ = ["Ray", "Work"]
