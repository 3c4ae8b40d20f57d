"""The context of updates: components follow added, changed or deleted documents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from rag.candidates import Ints
from rag.component import Component
from rag.corpus.passages import Passages
from rag.fitting.context import FitContext

__all__ = ["UpdateContext"]


@dataclass
class UpdateContext(FitContext):
    """The context passed down the tree of a fitted pipeline in an update.

    Args:
        kept: Positions in the old table of the passages that stay, int64, ascending; in the new table they come first.
        metadata_changed: Whether metadata of documents that stay has changed.
    """

    kept: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    metadata_changed: bool = False
    _unchanged: list[Component] = field(default_factory=list)

    def fit(self, component: Component) -> None:
        """Update a component, or give it the state of an identical one already updated."""
        if any(_learns_from_place(part) for _, part in component.spec.walk()):
            component.update(self, self.kept)  # its learned state is its own, even if another is configured alike
            return
        super().fit(component)

    def is_cached(self, component: Component) -> bool:
        """Always False: an update starts from the current state."""
        return False

    @property
    def n_kept(self) -> int:
        return len(self.kept)

    def keep(self, component: Component) -> None:
        """Declare that a component's ``save_state`` would write the same as before the update."""
        self._unchanged.append(component)

    def is_kept(self, component: Component) -> bool:
        """Whether :meth:`keep` was called for it."""
        return any(unchanged is component for unchanged in self._unchanged)

    def for_updated_passages(
        self, passages: Passages, kept: Ints, shared: Iterable[Component] = (), *, stored: bool = True
    ) -> UpdateContext:
        """The same as :meth:`for_passages`, for components that were fitted on such passages before.

        Args:
            passages: The passages to fit on.
            kept: Positions of the earlier passages that stay.
            shared: Components fitted here that are used there unchanged.
            stored: Whether the store may cache states fitted there.
        """
        inner = UpdateContext(
            **self._fields_over(passages, shared, stored),
            kept=kept,
            metadata_changed=self.metadata_changed,
            _unchanged=self._unchanged,
        )
        self._share_rooms(inner)
        return inner

    def _fit_first(self, component: Component) -> None:
        component.update(self, self.kept)

    def _share(self, component: Component, twin: Component) -> None:
        super()._share(component, twin)
        for (_, mine), (_, theirs) in zip(component.spec.walk(), twin.spec.walk(), strict=True):
            if self.is_kept(theirs):
                self.keep(mine)


def _learns_from_place(component: Component) -> bool:
    """Whether what a component learns depends on its place: on the steps before it, or on the keys beside it."""
    return not component.needs.isdisjoint({"candidates", "keys"})
