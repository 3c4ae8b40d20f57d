"""Projections of token vectors that learn, over a frozen encoder: late interaction against one vector and hybrids.

    python benchmarks/token_heads.py TOKENS [--epochs 5] [--rows "linear, 128;linear, 64"] [--teacher MODEL]

TOKENS was written by ``stored_tokens.py``. Rows are nDCG@10 and R@100 of the test questions, by exact MaxSim; the
paired differences to frozen tokens and to the hybrid of words and one vector (bootstrap interval, randomization test);
and what was chosen on dev, with CPU seconds to learn. Nothing else is tuned. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from stored_tokens import Stored

from rag import QueryBatch
from rag.candidates import Floats
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
    parser.add_argument("--teacher", default=None)
    parser.add_argument("--rows", default="")
    measure(parser.parse_args())


def measure(given: Any) -> None:
    stored = Stored(given.tokens)
    encoder, context, queries = stored.encoder, stored.context, stored.queries
    corpus, batch = context.corpus, QueryBatch(queries)
    base: dict[str, Floats] = {}
    print("| set | documents | questions | row | nDCG@10 | R@100 | to frozen tokens | 95 % | to the hybrid | 95 % | p "
          "| dev | epoch | CPU s |")  # fmt: skip
    print("|---" * 14 + "|")

    def row(name: str, retriever: Any, head: TokenHead | None = None, seconds: float = 0.0) -> None:
        context.fit(retriever)
        run = as_run(queries, batch.found_by(retriever), corpus)
        measured = per_query(parse_measures(list(MEASURES)), stored.qrels, run)
        values = {measure: np.array([of[query.id] for query in queries]) for measure, of in measured.items()}
        base.setdefault(name, values["nDCG@10"])
        cells, p = [], ""
        for other in ("frozen tokens", "hybrid of words and one vector"):
            said = compare(values["nDCG@10"], base[other]) if other in base and other != name else None
            low, high = (said.ci95 if said and said.ci95 else None) or (0.0, 0.0)
            cells += [f"{said.difference:+.4f}" if said else "", f"{low:+.4f} to {high:+.4f}" if said else ""]
            p = f"{said.p_value:.4f}" if said else ""
        report = {} if head is None else head.learned_report()
        told = [f"{report['learned']:.4f}", f"{report['epoch']}", f"{seconds:.0f}"] if report else ["", "", ""]
        means = [f"{values[measure].mean():.4f}" for measure in MEASURES]
        cells = [stored.name, f"{len(corpus):,}", f"{len(queries)}", name, *means, *cells, p, *told]
        print(f"| {' | '.join(cells)} |", flush=True)

    words, vector = BM25(top_k=100), Dense(embedder=encoder, top_k=100)
    frozen = LateInteraction(embedder=encoder, top_k=100)
    row("frozen tokens", frozen)
    row("words (bm25)", words)
    row("one vector", vector)
    row("hybrid of words and one vector", Hybrid(retrievers=[words, vector], top_k=100))
    row("hybrid with frozen tokens", Hybrid(retrievers=[words, vector, frozen], top_k=100))
    for name, arguments in heads(given).items():
        if given.rows and name not in given.rows.split(";"):
            continue
        head = TokenHead(embedder=encoder, epochs=given.epochs, **arguments)
        start = time.process_time()
        context.fit(head)
        seconds = time.process_time() - start
        late = LateInteraction(embedder=head, top_k=100)
        row(name, late, head, seconds)
        row(f"hybrid with {name}", Hybrid(retrievers=[words, vector, late], top_k=100), head, seconds)


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
