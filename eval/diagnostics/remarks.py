"""Remarks on a run: on its dataset split and on the behavior of the pipeline."""

from __future__ import annotations

from rag.eval.datasets.base import Dataset, Qrels, Split
from rag.eval.datasets.duplicates import leaks
from rag.eval.datasets.joined import absent, without_text
from rag.eval.measures.values import Run
from rag.pipeline import Pipeline
from rag.remarks import MAX_EXAMPLES, Remark, Remarks

__all__ = ["nothing_relevant", "run_remarks", "split_remarks", "unknown_values"]


def split_remarks(dataset: Dataset, split: str) -> Remarks:
    """Remarks on queries without a text, judgments of missing documents, queries with nothing relevant, and questions
    shared with other splits.
    """
    chosen, said = dataset.split(split), {remark.code for remark in dataset.remarks}
    remarks = Remarks(without_text(chosen, split))
    if "documents_absent" not in said:  # already made while reading, with the line
        remarks.extend(absent(chosen, frozenset(dataset.corpus.ids()), split))
    remarks.extend(nothing_relevant({query.id: chosen.qrels[query.id] for query in chosen.queries}, split))
    for note in leaks(dataset, split):
        remarks.add("queries_shared", note)
    return remarks


def nothing_relevant(qrels: Qrels, name: str) -> list[Remark]:
    """Remark on queries that have no relevant document.

    Args:
        qrels: Judgments of all measured queries.
        name: Name of the split, for the message.
    """
    bare = [query for query, grades in qrels.items() if not any(grade > 0 for grade in grades.values())]
    if not bare:
        return []
    message = (
        f"{name}: {len(bare)} of {len(qrels)} queries have nothing relevant (such as '{bare[0]}'); measures of "
        "rankings count 0 for them, SetP, SetR and SetF 1 where nothing is returned"
    )
    return [Remark("nothing_relevant", message, len(bare), len(qrels), tuple(bare[:MAX_EXAMPLES]))]


def unknown_values(pipeline: Pipeline, split: Split) -> list[Remark]:
    """Remark on query filters that ask for values no document has."""
    said: dict[str, str] = {}
    for query in split.queries:
        if query.filter is not None and (odd := pipeline.corpus.fields.remarks(query.filter)):
            said[query.id] = odd[0].message.removeprefix("filter: ")
    if not said:
        return []
    message = f"filters of {len(said)} of {len(split.queries)} queries ask for a value that no document has (such as "
    examples = tuple(f"'{query}': {why}" for query, why in said.items())[:MAX_EXAMPLES]
    return [Remark("filter_value_unknown", f"{message}{examples[0]})", len(said), len(split.queries), examples)]


def run_remarks(pipeline: Pipeline, split: Split, run: Run) -> Remarks:
    """Remarks on reused artifacts, on components, on filter values no document has, and on queries without results."""
    remarks = Remarks()
    if pipeline.reused:
        names = ", ".join(dict.fromkeys(pipeline.reused))
        remarks.add("reused", f"reused from the store, with its original cost: {names}", count=len(pipeline.reused))
    remarks.extend(pipeline.remarks)
    remarks.extend(unknown_values(pipeline, split))
    empty = [query for query, results in run.items() if not results]
    if empty:
        message = f"{len(empty)} of {len(run)} queries got no document; they count 0"
        remarks.add(
            "queries_without_results",
            f"{message} (1 in SetP, SetR and SetF where nothing is relevant)",
            count=len(empty),
            total=len(run),
            examples=empty,
        )
    if len(split.queries) == 1:
        remarks.add("one_query", "one query only: no interval can be given")
    return remarks
