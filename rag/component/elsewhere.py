"""Components that hold something elsewhere: on a server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rag.component.base import Component

__all__ = ["HoldsElsewhere"]


class HoldsElsewhere(Component):
    """What ``save_state`` writes says where the rest lies, in a file ``elsewhere.json``."""

    @abstractmethod
    def keep_elsewhere(self) -> None:
        """Keep it from now on, even if this process ends: a folder is about to hold it."""

    @abstractmethod
    def give_up_elsewhere(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Give up what a folder held, and does not any more.

        Args:
            states: What it had in ``elsewhere.json``.
        """

    @abstractmethod
    def verify_elsewhere(self) -> None:
        """Compare all that lies there with what was written.

        Raises:
            ArtifactError: Something is missing, or was changed.
        """
