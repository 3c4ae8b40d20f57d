"""States of components in the store: built once, found when the same is fitted again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rag.component import Component
from rag.costs import Costs, Ledger
from rag.remarks import Remark, Remarks
from rag.store.store import Store

__all__ = ["Artifacts"]

logger = logging.getLogger("rag.fit")


@dataclass
class Artifacts:
    """What fitting builds, and what is remarked meanwhile.

    Args:
        store: Where states are kept; None keeps nothing.
        ledger: Costs of fitting.
        remarks: What was cut or left out.
        reused: What came from the store instead of being built, by kind and type.
    """

    store: Store | None
    ledger: Ledger
    remarks: Remarks
    reused: list[str]
    _recordings: list[Remarks] = field(default_factory=list)
    """Of the artifacts that are being built: what was remarked meanwhile, to be remarked again when they are loaded."""

    def elsewhere(self, store: Store | None) -> Artifacts:
        """The same with another store."""
        return replace(self, store=store)

    def note(self, remark: Remark) -> None:
        """Add a remark on what is being fitted; logged once."""
        if remark.message not in self.remarks.messages:
            logger.warning("%s", remark)
        for remarks in (self.remarks, *self._recordings):
            remarks.extend([remark])

    def cached_fit(
        self, component: Component, key: str, about: str, make: Callable[[], None], load: Callable[[Path], None]
    ) -> None:
        """Have ``make`` build a component's state, or ``load`` read it from the store when it was built before. Costs
        and remarks come from there too, as they were.

        Args:
            component: Saves the state.
            key: Identity of the state.
            about: The state in words.
            make: Builds it.
            load: Reads it from a folder.
        """
        assert self.store is not None
        built: list[Path] = []

        def write(folder: Path) -> dict[str, Any]:
            before, start = self.ledger.total, time.perf_counter()
            with self._recording() as recording:
                make()
            component.save_state(folder)
            built.append(folder)
            spent = self.ledger.total
            spent -= before
            spent.seconds += time.perf_counter() - start  # the open stage's own time is not booked yet
            return spent.as_dict() | ({"remarks": recording.as_dicts()} if recording else {})

        folder = self.store.artifact(component.kind, key, write, about=about)
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
