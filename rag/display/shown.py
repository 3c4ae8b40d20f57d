"""The base of public objects that people look at."""

from __future__ import annotations

from collections.abc import Sequence

from rag.display.lines import clipped
from rag.display.parts import Part

__all__ = ["Shown"]

_LINES = 6
_WIDTH = 160


class Shown:
    """An object that shows itself in at most six lines, and in a notebook as tables and trees.

    Example:
        >>> class Basket(Shown):
        ...     def _summary(self):
        ...         return ["Basket of 2 fruits", "apple", "pear"]
        >>> Basket()
        Basket of 2 fruits
          apple
          pear
    """

    __slots__ = ()

    def _summary(self) -> Sequence[str]:
        """The lines of ``repr``: a title, and at most five facts."""
        raise NotImplementedError

    def _details(self) -> Sequence[Part]:
        """Tables and trees, for notebooks."""
        return ()

    def __repr__(self) -> str:
        title, *facts = (clipped(line, _WIDTH) for line in self._summary()[:_LINES])
        return "\n  ".join([title, *facts])

    def _repr_html_(self) -> str:
        """HTML for notebooks: a fragment without scripts, in the notebook's own colors."""
        from rag.display.html import as_html

        return as_html(self._summary(), self._details())
