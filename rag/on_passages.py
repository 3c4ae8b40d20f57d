"""What components have in common that work on the passages they were fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.candidates import Ints
from rag.component import Component
from rag.corpus.passages import Passages
from rag.errors import NotFittedError

if TYPE_CHECKING:
    from rag.fitting import FitContext, UpdateContext

__all__ = ["OnPassages"]


class OnPassages(Component):
    """Remembers the passages that it was last fitted, updated or loaded with."""

    _passages: Passages | None = None

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        self._passages = context.passages

    def update(self, context: UpdateContext, kept: Ints) -> None:
        super().update(context, kept)
        self._passages = context.passages

    def load_state(self, folder: object, context: FitContext) -> None:
        self._passages = context.passages

    @property
    def passages(self) -> Passages:
        """The passages of the corpus it was fitted on.

        Raises:
            NotFittedError: There are none yet.
        """
        if self._passages is None:
            raise NotFittedError.of(self)
        return self._passages
