"""Questions without an answer, for which a filter should return nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rag.arguments import refuses_unknown
from rag.corpus.corpus import Corpus
from rag.errors import ConfigError
from rag.eval.datasets.base import Dataset, Split
from rag.remarks import Remark

__all__ = ["without_answers"]


@refuses_unknown
def without_answers(dataset: Dataset, share: float, *, seed: int = 0) -> Dataset:
    """Remove the relevant documents of some queries from the corpus, so that these queries have no answer.

    The queries stay in their splits, judged to have nothing relevant. Other queries lose these documents too, and a
    query that loses its last relevant document has nothing relevant either. So this suits datasets with few relevant
    documents per query (scifact); little would be left of others (nfcorpus).

    Args:
        dataset: Documents and judged queries.
        share: Share of the queries of each split, drawn at random.
        seed: Seed of the draw.

    Raises:
        ConfigError: The share is not between 0 and 1, or no document would be left.
    """
    if not 0 < share < 1:
        raise ConfigError(f"must be above 0 and below 1, got {share:g}", parameter="nulls")
    rng = np.random.default_rng(seed)
    gone: set[str] = set()
    for _, split in sorted(dataset.splits.items()):
        for row in rng.permutation(len(split.queries))[: round(share * len(split.queries))].tolist():
            gone |= {id for id, grade in split.qrels[split.queries[row].id].items() if grade > 0}
    left = [document for document in dataset.corpus if document.id not in gone]
    if not left:
        message = (
            f"every document is relevant to some of the drawn queries ({share:g} of all): no document would be left"
        )
        raise ConfigError(message, parameter="nulls")
    splits = {
        name: Split(
            split.queries,
            {query: {id: g for id, g in judged.items() if id not in gone} for query, judged in split.qrels.items()},
        )
        for name, split in dataset.splits.items()
    }
    message = f"{len(gone)} documents were taken out, those relevant to {share:g} of the queries (seed {seed})"
    return replace(
        dataset,
        name=f"{dataset.name}-nulls-{share:g}",
        corpus=Corpus.from_documents(left),
        splits=splits,
        remarks=[*dataset.remarks, Remark("documents_taken_out", message, len(gone), len(dataset.corpus))],
    )
