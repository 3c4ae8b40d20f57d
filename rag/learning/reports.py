"""The contract of components that report what they have learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

__all__ = ["ReportsLearning"]


class ReportsLearning(ABC):
    """A component that shows in reports what it has learned."""

    @abstractmethod
    def learned_report(self) -> Mapping[str, Any]:
        """Description of what it has learned, as JSON values; empty for nothing."""
