"""The identity of a sweep: trials of two starts are comparable if it is equal; otherwise the storage is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag.errors import ArtifactError
from rag.hpo.execution.trial import Bench
from rag.hpo.sweep import Sweep

__all__ = ["check_identity", "identity_of"]


def identity_of(sweep: Sweep, bench: Bench) -> dict[str, Any]:
    """Settings and data that make trials comparable. The sampler and the number of trials may change between starts."""
    return {
        "objectives": [str(goal) for goal in sweep.goals],
        "bounds": [str(bound) for bound in sweep.bounds],
        "dataset": bench.dataset.name,
        "split": bench.split_name,
        "queries": bench.fingerprint,
        **bench.content,
        "seed": sweep.seed,
        "folds": sweep.folds,
        "ignore_identical_ids": sweep.ignore_identical_ids,
        "early_stopping": sweep.early_stopping,
    }


_OTHER_DATA = {
    "queries": "tuned on other queries or judgments",
    "documents": "tuned on other documents",
    "training": "whose pipelines learned from other training queries",
}
"""Words for the entries that are hashes."""


def check_identity(theirs: Mapping[str, Any], ours: Mapping[str, Any], name: str) -> None:
    """Refuse to mix trials that cannot be compared.

    Raises:
        ArtifactError: The sweeps differ; the message names the difference.
    """
    advice = "give this one another --out folder, name or storage"
    for entry, value in ours.items():
        if entry not in theirs or theirs[entry] == value:  # sweeps of older versions lack some entries
            continue
        if entry in _OTHER_DATA:
            raise ArtifactError(f"the storage holds another sweep called '{name}', {_OTHER_DATA[entry]}; {advice}")
        raise ArtifactError(
            f"the storage holds another sweep called '{name}': its {entry.replace('_', ' ')} is "
            f"{theirs[entry]!r}, not {value!r}; {advice}"
        )
