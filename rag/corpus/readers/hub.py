"""Datasets on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.errors import DataError, first_line

__all__ = ["hub_rows"]


def hub_rows(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, row) of every row of ``hf:NAME[@CONFIG][#SPLIT]``.

    Raises:
        DataError: It cannot be loaded, or has several splits and none was named.
    """
    from datasets import Dataset, load_dataset

    rest, _, split = name.removeprefix("hf:").partition("#")
    repository, _, config = rest.partition("@")
    try:
        loaded = load_dataset(repository, config or None, split=split or None)
    except Exception as error:  # the Hub's client raises many kinds
        raise DataError(f"{name}: cannot load the dataset: {first_line(error)}") from error
    if not isinstance(loaded, Dataset):
        splits = list(loaded)
        if "train" not in splits and len(splits) != 1:
            raise DataError(f"{name}: has the splits {', '.join(map(str, splits))}; choose one: {name}#{splits[0]}")
        loaded = loaded["train" if "train" in splits else splits[0]]
    return ((f"{name}: row {n}", row) for n, row in enumerate(loaded))
