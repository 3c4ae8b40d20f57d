"""Learning on questions to Python's own language reference, through files and the store."""

from __future__ import annotations

import numpy as np

from rag import Pipeline, Query, QueryBatch, Store, Training
from rag.eval import evaluate
from rag.eval.datasets.load import load_dataset
from rag.eval.datasets.split import split_dataset

CONFIG = {
    "type": "pipeline",
    "retriever": {
        "type": "hybrid",
        "fusion": {"type": "min_max"},
        "retrievers": [{"type": "bm25"}, {"type": "dense", "embedder": {"type": "lsa", "dim": 64}}],
    },
    "stages": [
        {
            "type": "learned_rank",
            "sources": [{"type": "feedback"}, {"type": "query_memory"}, {"type": "query_memory", "score": "cover"}],
        }
    ],
}


def test_it_is_evaluated_saved_updated_and_told(tmp_path):
    whole = load_dataset("python-reference")
    dataset = split_dataset(whole, {"train": 0.5, "dev": 0.2, "test": 0.3}, group_duplicates=True)
    plain = evaluate(Pipeline.from_config(CONFIG | {"stages": []}), dataset, timed=False)
    pipeline = Pipeline.from_config(CONFIG)
    store = Store(tmp_path / "store")
    evaluation = evaluate(pipeline, dataset, timed=False, store=store)
    notes = "\n".join(evaluation.metrics["notes"])
    assert "learned_rank" in notes
    assert "relevant judgments are of documents also relevant to a training query" in notes
    assert evaluation.metrics["overlap"]["training_queries"] == len(dataset.splits["train"].queries)
    ways = [slice["by"] for slice in evaluation.metrics["slices"]]
    assert "similarity to the nearest training query" in ways
    # The guard: what does not win is left out, so the answers are never far below the plain list.
    assert evaluation.mean("nDCG@10") > plain.mean("nDCG@10") - 0.03

    again = evaluate(Pipeline.from_config(CONFIG), dataset, timed=False, store=store)
    assert evaluation.values == again.values

    batch = QueryBatch(dataset.splits["test"].queries[:20])
    before = pipeline.run(batch)
    pipeline.save(tmp_path / "index")
    opened = Pipeline.load(tmp_path / "index")
    after = opened.run(QueryBatch(batch.queries))
    assert before.documents.tolist() == after.documents.tolist()
    np.testing.assert_allclose(before.scores[before.mask], after.scores[after.mask], rtol=1e-5)

    with Pipeline.editing(tmp_path / "index") as edited:
        gone = edited.corpus.ids([int(before.documents[0, 0])])[0]
        edited.delete([gone])
        assert (
            edited.add_qrels(Training([Query("new", "what is a walrus")], {"new": {edited.corpus.ids([1])[0]: 1}})) == 1
        )
    changed = Pipeline.load(tmp_path / "index")
    assert gone not in {hit.document.id for hit in changed.search(batch.queries[0])}
    memory = changed.stages[0].sources[1]
    assert "new" in memory._memory.judged.ids
