"""Cached states of components: built once, and loaded when the same is fitted again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rag.component import Component
from rag.costs import Costs, Ledger
from rag.remarks import Remark, Remarks
from rag.store.store import Store
from rag.waiting import working_time

__all__ = ["Artifacts"]

logger = logging.getLogger("rag.fit")


@dataclass
class Artifacts:
    """Builds and loads states of components, and collects remarks.

    Args:
        store: Cache of states; None caches nothing.
        ledger: Costs of fitting.
        remarks: Remarks on what was cut or left out.
        reused: Names of states loaded from the store, by kind and type.
    """

    store: Store | None
    ledger: Ledger
    remarks: Remarks
    reused: list[str]
    _recordings: list[Remarks] = field(default_factory=list)
    """Remarks made while building each open artifact, to repeat when it is loaded."""

    def elsewhere(self, store: Store | None) -> Artifacts:
        """The same with another store."""
        return replace(self, store=store)

    def note(self, remark: Remark) -> None:
        """Add a remark on the component being fitted; logged once."""
        if remark.message not in self.remarks.messages:
            logger.warning("%s", remark)
        for remarks in (self.remarks, *self._recordings):
            remarks.extend([remark])

    def cached_fit(
        self, component: Component, key: str, description: str, make: Callable[[], None], load: Callable[[Path], None]
    ) -> None:
        """Have ``make`` build a component's state, or ``load`` read it from the store if it was built before. Costs and
        remarks are restored too, as they were.

        Args:
            component: The component that saves the state.
            key: Identity of the state.
            description: The state in words.
            make: Function that builds it.
            load: Function that reads it from a folder.
        """
        assert self.store is not None
        built: list[Path] = []

        def write(folder: Path) -> dict[str, Any]:
            before, start = self.ledger.total, working_time()
            with self._recording() as recording:
                make()
            component.save_state(folder)
            built.append(folder)
            spent = self.ledger.total
            spent -= before
            spent.seconds += working_time() - start  # time of the open stage is not booked yet
            return spent.as_dict() | ({"remarks": recording.as_dicts()} if recording else {})

        folder = self.store.artifact(component.kind, key, write, description=description)
        if not built:
            load(folder)
            costs = dict(self.store.remarks(component.kind, key) or {})
            for remark in costs.pop("remarks", ()):
                self.note(Remark.from_dict(remark))
            self.ledger.book(Costs(**costs))
            self.reused.append(f"{component.kind} {component.type}")

    @contextmanager
    def _recording(self) -> Iterator[Remarks]:
        recording = Remarks()
        self._recordings.append(recording)
        try:
            yield recording
        finally:
            self._recordings.pop()
