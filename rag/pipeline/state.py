"""The fitted state of a pipeline, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.remarks import Remarks
from rag.store.folder import link_file, link_files

__all__ = ["Fitted", "Saved"]


@dataclass(frozen=True)
class Saved:
    """The location of a saved pipeline, and the parts still unchanged since.

    Args:
        data: Folder of the generation.
        unchanged: Names of parts: ``corpus``, ``passages``, ``deleted``, and ``state/PATH`` for every component.
    """

    data: Path
    unchanged: frozenset[str]

    def linked_into(self, generation: Path) -> frozenset[str]:
        """Link the files of all unchanged parts into a new generation of the same folder; returns these parts."""
        if self.data.parent.absolute() != generation.parent.absolute() or not self.data.is_dir():
            return frozenset()
        files = {"corpus": ["corpus.arrow"], "passages": ["passages.npy", "passages.json"]}
        for part in self.unchanged - {"deleted"}:
            for name in files.get(part, ()):
                link_file(self.data / name, generation / name)
            if part.startswith("state/") and (self.data / part).is_dir():
                (generation / part).mkdir(parents=True)
                link_files(self.data / part, generation / part)
        return self.unchanged


@dataclass(frozen=True)
class Fitted:
    """The state of a fitted pipeline besides that of its components; replaced as a whole.

    Args:
        passages: The indexed passages, with the corpus.
        keys: For each step, the identity of its output; None from the first step on whose identity is not valid in
            other processes. Empty when it was not fitted through a store, or has changed since.
        costs: Costs of fitting, by component.
        reused: Names of artifacts that fitting took from the store.
        remarks: Remarks on what was cut or left out.
        saved: Location of the state on disk; None if not saved.
    """

    passages: Passages
    keys: tuple[str | None, ...] = ()
    costs: Ledger = field(default_factory=Ledger)
    reused: tuple[str, ...] = ()
    remarks: Remarks = field(default_factory=Remarks)
    saved: Saved | None = None
