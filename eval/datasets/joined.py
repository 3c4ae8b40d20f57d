"""Join documents, queries and judgments that were read separately, and remark on what does not fit together.

All readers end here, so that the same rules hold for folders, tables, the Hub and ``ir_datasets``.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from rag.corpus.corpus import Corpus
from rag.errors import DataError
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.duplicates import repeated_documents
from rag.eval.datasets.qrels import Judgments
from rag.remarks import MAX_EXAMPLES, Remark, Remarks
from rag.types import Query

__all__ = ["FOUND_AGAIN", "absent", "joined", "without_text"]

FOUND_AGAIN = frozenset(
    {"queries_unknown", "queries_unjudged", "queries_without_text", "documents_absent", "documents_equal"}
)
"""Codes of remarks that are derived anew whenever a dataset is read or divided; they are not written to files."""

_SHOWN = 3
_COMPARED = 2_000
"""Number of ids compared with a missing id; of larger collections its neighbors in sorted order."""


def joined(
    name: str,
    corpus: Corpus,
    parts: Mapping[str, tuple[Sequence[Query], Judgments]],
    *,
    remarks: Iterable[Remark] = (),
    hint: str = "",
) -> Dataset:
    """Join queries with their judgments by split; count what is left out or does not fit together.

    Args:
        name: Name of the dataset.
        corpus: The documents.
        parts: Queries (unjudged ones too) and judgments of each split.
        remarks: Earlier remarks.
        hint: Text appended to the message when nothing fits together.

    Raises:
        DataError: None of the judged documents is in the corpus.
    """
    document_ids = frozenset(corpus.ids())
    collected = Remarks([*corpus.remarks, *remarks])
    splits = {}
    for split, (queries, judgments) in parts.items():
        judged = [query for query in queries if query.id in judgments]
        asked = {query.id for query in judged}
        splits[split] = Split(judged, {query.id: judgments[query.id] for query in judged})
        if lost := [query for query in judgments if query not in asked]:
            near = _near(lost, {query.id for query in queries}, judgments.queries_at)
            message = f"{split}: {len(lost)} judged queries are not among the queries and are left out ({near})"
            collected.add(
                "queries_unknown", message, count=len(lost), total=len(judgments), examples=lost[:MAX_EXAMPLES]
            )
        collected.extend(absent(splits[split], document_ids, split, judgments.documents_at))
        collected.extend(without_text(splits[split], split))
    everyone = {query.id: query for queries, _ in parts.values() for query in queries}
    if unjudged := [id for id in everyone if not any(id in split.qrels for split in splits.values())]:
        message = f"{len(unjudged)} of {len(everyone)} queries have no judgment and are left out"
        collected.add("queries_unjudged", message, count=len(unjudged), total=len(everyone), examples=unjudged)
    named = {id: at for _, judgments in parts.values() for id, at in judgments.documents_at.items()}
    if named and document_ids.isdisjoint(named):
        near = _near(list(named), document_ids, named)
        raise DataError(
            f"no document that is judged, {near}, is in the corpus, with ids such as '{min(document_ids)}'{hint}"
        )
    collected.extend(_equal(corpus))
    return Dataset(name, corpus, splits, collected)


def absent(split: Split, document_ids: Collection[str], name: str, at: Mapping[str, str] | None = None) -> list[Remark]:
    """Remark on judgments of a split that name documents missing from the corpus.

    Args:
        split: The queries and judgments.
        document_ids: Ids of the documents in the corpus.
        name: Name of the split.
        at: Location where each id was read, if known.
    """
    named = {document for judged in split.qrels.values() for document in judged}
    gone = sorted(named.difference(document_ids))
    if not gone:
        return []
    without = sum(
        any(grade > 0 for grade in judged.values())
        and not any(grade > 0 and document in document_ids for document, grade in judged.items())
        for judged in split.qrels.values()
    )
    lone = f"; {without} queries have no other relevant document" if without else ""
    message = (
        f"{name}: judgments name {len(gone)} documents, of {len(named)}, that are not in the corpus "
        f"({_near(gone, document_ids, at or {})}); relevant ones count as missed{lone}"
    )
    return [Remark("documents_absent", message, len(gone), len(named), tuple(gone[:MAX_EXAMPLES]))]


def without_text(split: Split, name: str) -> list[Remark]:
    """Remark on queries of a split that have no text."""
    blank = [query.id for query in split.queries if not query.text.strip()]
    if not blank:
        return []
    n = len(split.queries)
    message = f"{name}: {len(blank)} of {n} queries have no text (such as '{blank[0]}'): they find nothing and count 0"
    return [Remark("queries_without_text", message, len(blank), n, tuple(blank[:MAX_EXAMPLES]))]


def _equal(corpus: Corpus) -> list[Remark]:
    pairs = repeated_documents(corpus)
    if not len(pairs):
        return []
    first, again = corpus.ids(pairs[0])
    message = (
        f"{len(pairs)} of {len(corpus)} documents have the text of another (such as '{again}' that of '{first}'): "
        "where only one is judged, the other counts as a miss"
    )
    examples = tuple(corpus.ids(pairs[:MAX_EXAMPLES, 1]))
    return [Remark("documents_equal", message, len(pairs), len(corpus), examples)]


def _near(missing: Sequence[str], existing_ids: Collection[str], at: Mapping[str, str]) -> str:
    """List the first missing ids, each with its location and the nearest existing id."""
    search = _Nearest(existing_ids)
    shown = []
    for id in missing[:_SHOWN]:
        details = [*([at[id]] if id in at else []), *([near] if (near := search.said(id)) else [])]
        shown.append(f"'{id}'" + (f" [{'; '.join(details)}]" if details else ""))
    blanks = sum(search.only_blanks(id) is not None for id in missing)
    said = f"; {blanks} differ from one that is there only in blanks" if blanks else ""
    return f"such as {', '.join(shown)}{said}"


class _Nearest:
    """Finds the existing id that a missing id was probably meant to be."""

    def __init__(self, existing_ids: Collection[str]) -> None:
        self.known = existing_ids

    def said(self, id: str) -> str:
        """Describe the nearest id; empty when none is near."""
        if (same := self.only_blanks(id)) is not None:
            return f"only blanks differ from '{same}'"
        if (same := self._by_case.get(id.casefold())) is not None:
            return f"only case differs from '{same}'"
        candidates = self._sorted
        if len(candidates) > _COMPARED:
            middle = bisect_left(candidates, id)
            candidates = candidates[max(0, middle - _COMPARED // 2) : middle + _COMPARED // 2]
        close = difflib.get_close_matches(id[:200], candidates, n=1, cutoff=0.6)
        return f"nearest '{close[0]}'" if close else ""

    def only_blanks(self, id: str) -> str | None:
        """The existing id that differs only in white space."""
        return self._by_letters.get("".join(id.split()))

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        return {"".join(id.split()): id for id in self.known}

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {id.casefold(): id for id in self.known}

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.known)
