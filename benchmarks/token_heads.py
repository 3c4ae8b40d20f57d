"""Projections of token vectors that learn, over a frozen encoder: late interaction against one vector and hybrids.

    python benchmarks/token_heads.py TOKENS [--epochs 5] [--test N] [--rows "linear, 128;linear, 64"] [--teacher MODEL]

TOKENS was written by ``stored_tokens.py``. Rows are nDCG@10 and R@100 of the test questions, by exact MaxSim; the
paired differences to frozen tokens and to the hybrid of words and one vector (bootstrap interval, randomization test);
and what was chosen on dev, with CPU seconds to learn. Nothing else is tuned. What was found is kept beside TOKENS, so
that a run that was stopped, or has other rows, goes on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stored_tokens import Stored

from rag import Candidates, QueryBatch, Retriever
from rag.eval.comparison.significance import compare
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run
from rag.rerankers import CrossEncoderScorer, TokenHead
from rag.retrievers import BM25, Dense, Hybrid, LateInteraction

MEASURES = ("nDCG@10", "R@100")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--test", type=int, default=None)
    parser.add_argument("--teacher", default=None)
    parser.add_argument("--rows", default="")
    measure(parser.parse_args())


class Known(Retriever):
    """Finds what was found before.

    Args:
        name: Name of the row.
    """

    type = "known"

    def __init__(self, *, name: str) -> None:
        self.name = name
        self.table = Candidates.empty(0)

    def retrieve(self, batch: QueryBatch) -> Candidates:
        return self.table


def measure(given: Any) -> None:
    stored = Stored(given.tokens)
    encoder, context = stored.encoder, stored.context
    queries = stored.queries[: given.test]
    batch = QueryBatch(queries)
    kept = given.tokens.with_suffix("")
    kept.mkdir(exist_ok=True)

    def retrieved(name: str, make: Callable[[], Retriever]) -> Known:
        """A list by name, with what was learned for it; made once."""
        file = kept / f"{name}.npz"
        if not file.is_file():
            start = time.process_time()
            retriever = make()
            context.fit(retriever)
            about = {"seconds": time.process_time() - start}
            if isinstance(getattr(retriever, "embedder", None), TokenHead):
                about |= retriever.embedder.learned_report()  # type: ignore[attr-defined]
            table = retriever.retrieve(batch)
            np.savez(
                file, about=json.dumps(about), documents=table.documents, scores=table.scores, passages=table.passages
            )
        arrays = np.load(file)
        known = Known(name=name)
        known.table = Candidates(*(arrays[part] for part in ("documents", "scores", "passages")))
        known.about = json.loads(str(arrays["about"]))  # type: ignore[attr-defined]
        return known

    words = retrieved("words (bm25)", lambda: BM25(top_k=100))
    vector = retrieved("one vector", lambda: Dense(embedder=encoder, top_k=100))
    frozen = retrieved("frozen tokens", lambda: LateInteraction(embedder=encoder, top_k=100))
    rows: dict[str, Any] = {
        "frozen tokens": frozen,
        "hybrid of words and one vector": Hybrid(retrievers=[words, vector], top_k=100),
        "words (bm25)": words,
        "one vector": vector,
        "hybrid with frozen tokens": Hybrid(retrievers=[words, vector, frozen], top_k=100),
    }
    for name, arguments in heads(given).items():
        if given.rows and name not in given.rows.split(";"):
            continue
        head = TokenHead(embedder=encoder, epochs=given.epochs, **arguments)
        late = retrieved(name, lambda head=head: LateInteraction(embedder=head, top_k=100))  # type: ignore[misc]
        rows[name] = late
        rows[f"hybrid with {name}"] = Hybrid(retrievers=[words, vector, late], top_k=100)
    show(stored, queries, rows, context)


def show(stored: Stored, queries: list[Any], rows: dict[str, Any], context: Any) -> None:
    print("| set | documents | questions | row | nDCG@10 | R@100 | to frozen tokens | 95 % | p | to the hybrid | 95 % "
          "| p | dev, frozen | dev, first | dev, learned | epoch | CPU s |")  # fmt: skip
    print("|---" * 17 + "|")
    base: dict[str, Any] = {}
    for name, retriever in rows.items():
        context.fit(retriever)
        run = as_run(queries, retriever.retrieve(QueryBatch(queries)), context.corpus)
        measured = per_query(parse_measures(list(MEASURES)), stored.qrels, run)
        values = {measure: np.array([of[query.id] for query in queries]) for measure, of in measured.items()}
        base[name] = values["nDCG@10"]
        cells = [stored.name, f"{len(context.corpus):,}", f"{len(queries)}", name]
        cells += [f"{values[measure].mean():.4f}" for measure in MEASURES]
        for other in ("frozen tokens", "hybrid of words and one vector"):
            if other == name or other not in base:
                cells += ["", "", ""]
                continue
            said = compare(values["nDCG@10"], base[other])
            low, high = said.ci95 or (0.0, 0.0)
            cells += [f"{said.difference:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{said.p_value:.4f}"]
        about = getattr(retriever, "about", {})
        if "epoch" in about:
            cells += [f"{about[part]:.4f}" for part in ("frozen", "first", "learned")]
            cells += [f"{about['epoch']}", f"{about['seconds']:.0f}"]
        else:
            cells += [""] * 5
        print(f"| {' | '.join(cells)} |", flush=True)


def heads(given: Any) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {
        "projected, nothing learned, 128": {"learning_rate": 1e-12},
        "linear, 128": {},
        "residual, 128": {"form": "residual"},
        "gated, 128": {"form": "gated"},
        "two layers, 128": {"form": "two_layers"},
        "linear, 64": {"width": 64},
        "residual, 64": {"form": "residual", "width": 64},
        "linear, 128, negatives of bm25": {"negatives_from": BM25(top_k=100)},
    }
    if given.teacher:
        teacher = CrossEncoderScorer(given.teacher, max_length=128)
        rows["linear, 128, distilled"] = {"distilled_from": teacher, "positives": 2}
    return rows


if __name__ == "__main__":
    main()
