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
    def will_be_saved(self) -> None:
        """Keep it from now on, for some time, even if this process ends: a folder is about to hold it."""

    def was_saved(self, gone: Sequence[Mapping[str, Any]]) -> None:
        """Called when a folder holds the state.

        Args:
            gone: What states of this component that the folder held, and does not any more, had in ``elsewhere.json``.
        """

    @abstractmethod
    def verify_elsewhere(self) -> None:
        """Compare all that lies there with what was written.

        Raises:
            ArtifactError: Something is missing, or was changed.
        """
