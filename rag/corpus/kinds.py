"""What kinds of values the metadata fields of documents hold, and whether those that come hold others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rag.candidates import Ints
from rag.corpus.corpus import Corpus
from rag.corpus.fields import kinds_by_field
from rag.remarks import Remark

__all__ = ["other_kinds"]

_BLOCK = 2048


def other_kinds(old: Corpus, living: Ints, given: Corpus, rows: Ints) -> list[Remark]:
    """Fields in which documents that come hold another kind of value than all that are there: a filter by one kind
    does not find those with the other.

    Args:
        old: The documents there are.
        living: Positions of those that stay as they are.
        given: Documents that come.
        rows: Which of them.
    """
    coming = kinds_by_field(_metadata(given, rows))
    if not coming:
        return []
    known = kinds_by_field(_metadata(old, living))
    remarks = []
    for name, firsts in coming.items():
        held = known.get(name, {})
        for kind, row in firsts.items():
            if held and kind not in held:
                example = given.ids([rows[row]])[0]
                message = (
                    f"the metadata field '{name}' holds {kind} in document '{example}', but {' and '.join(held)} in "
                    "all documents of the index that have it: a filter by one kind does not find the other"
                )
                remarks.append(Remark("metadata_kinds", message, examples=(example,)))
    return remarks


def _metadata(corpus: Corpus, rows: Ints) -> Iterator[str]:
    for first in range(0, len(rows), _BLOCK):
        yield from corpus.metadata_texts(np.asarray(rows[first : first + _BLOCK], dtype=np.int64))
