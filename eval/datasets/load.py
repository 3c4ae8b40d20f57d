"""Load a dataset by its name or path."""

from __future__ import annotations

from pathlib import Path

from rag.arguments import refuses_unknown
from rag.errors import DataError, did_you_mean
from rag.eval.datasets.base import Dataset
from rag.store.store import Store

__all__ = ["BUILT_IN", "load_dataset"]

BUILT_IN = {
    "python-reference": "questions to Python's own language reference; ships with Python, needs no network",
}
"""Built-in datasets, with a description of each."""


@refuses_unknown
def load_dataset(source: str | Path, *, qrels: str | Path | None = None, store: Store | None = None) -> Dataset:
    """Load a dataset.

    Args:
        source: A BEIR folder, a dataset file (YAML), the name of a built-in dataset, ``hf:owner/name`` (or
            ``hf:owner/name@SUBSET``), or ``irds:ID``.
        qrels: Judgment file (BEIR or TREC columns) to use instead of the folder's.
        store: Artifact store that keeps what was read of files such as PDF; only a dataset file names such documents.

    Raises:
        DataError: The dataset does not exist or cannot be used.
        ConfigError: The dataset file is invalid.
        MissingExtraError: ``irds:`` needs the package ir_datasets.
    """
    name = str(source)
    folder = Path(source).expanduser()
    if folder.is_dir():
        from rag.eval.datasets.beir import read_beir

        return read_beir(folder, qrels=None if qrels is None else Path(qrels))
    if folder.suffix.lower() in (".yaml", ".yml"):
        from rag.eval.datasets.file import read_dataset_file

        return read_dataset_file(folder).load(qrels=None if qrels is None else Path(qrels), store=store)
    if qrels is not None:
        raise DataError(f"a judgment file needs a dataset folder, and '{name}' is not a folder")
    if name.startswith("hf:"):
        from rag.eval.datasets.hub import read_hub

        return read_hub(name)
    if name.startswith("irds:"):
        from rag.eval.integrations.irds import read_irds

        return read_irds(name)
    if name == "python-reference":
        from rag.eval.datasets.python_reference import read_python_reference

        return read_python_reference()
    if folder.is_file():
        raise DataError(f"'{name}' is not a dataset file: describe its columns in a small YAML file")
    raise DataError(f"no such folder, dataset file or built-in dataset: '{name}'{did_you_mean(name, BUILT_IN)}")
