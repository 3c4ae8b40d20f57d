"""The contract of what says what it has learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

__all__ = ["ReportsLearning"]


class ReportsLearning(ABC):
    """A component that shows in reports what it has learned."""

    @abstractmethod
    def learned_report(self) -> Mapping[str, Any]:
        """What it has learned, as JSON values; empty for nothing."""
