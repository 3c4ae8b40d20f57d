"""What is said of a run: of the split it is measured on, whoever made the dataset, and of what the pipeline did."""

from __future__ import annotations

from rag.eval.datasets.base import Dataset, Qrels, Split
from rag.eval.datasets.duplicates import leaks
from rag.eval.datasets.joined import absent, without_text
from rag.eval.measures.values import Run
from rag.pipeline import Pipeline
from rag.remarks import MAX_EXAMPLES, Remark, Remarks

__all__ = ["nothing_relevant", "run_remarks", "split_remarks", "unknown_values"]


def split_remarks(dataset: Dataset, split: str) -> Remarks:
    """Queries without a text, judgments of documents that are not there, queries with nothing relevant, and questions
    that other splits share.
    """
    chosen, said = dataset.split(split), {remark.code for remark in dataset.remarks}
    remarks = Remarks(without_text(chosen, split))
    if "documents_absent" not in said:  # where it was read, with the line
        remarks.extend(absent(chosen, frozenset(dataset.corpus.ids()), split))
    remarks.extend(nothing_relevant({query.id: chosen.qrels[query.id] for query in chosen.queries}, split))
    for note in leaks(dataset, split):
        remarks.add("queries_shared", note)
    return remarks


def nothing_relevant(qrels: Qrels, name: str) -> list[Remark]:
    """A remark when queries have no relevant document.

    Args:
        qrels: Judgments of every query that is measured.
        name: What they belong to.
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
    """A remark when filters of queries ask for values that no document has."""
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
    """What the store had already, what components note, values that no document has, and queries without a result."""
    remarks = Remarks()
    if pipeline.reused:
        found = ", ".join(dict.fromkeys(pipeline.reused))
        remarks.add("reused", f"found in the store, with the cost of making it: {found}", count=len(pipeline.reused))
    remarks.extend(pipeline.remarks)
    remarks.extend(unknown_values(pipeline, split))
    empty = [query for query, found in run.items() if not found]
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
