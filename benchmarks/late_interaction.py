"""Late interaction: what finds its best passages, and what fewer bytes cost.

    python benchmarks/late_interaction.py TOKENS [--part storage|candidates] [--head] [--start ROW]

TOKENS was written by ``stored_tokens.py``; ``--head`` learns a linear projection of them to 128 dimensions first. Exact
MaxSim is the truth. ``storage``: nDCG@10 and share of the exact top 10 by bits of a dimension and pooled tokens, and
the difference to 16 bits of every token. ``candidates``: of each first stage, the share of the exact top 10 and top 100
among its first 50 to 1,000 documents, the bytes that it keeps of a document, and CPU milliseconds for one question in a
batch. ``--start`` leaves the rows before one out, so that a run that was stopped goes on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from stored_tokens import Stored

from rag import MUVERA, PooledTokens, QueryBatch
from rag.candidates import Candidates
from rag.embedders.base import TokenEmbedder
from rag.eval.comparison.significance import compare
from rag.eval.measures.names import parse_measures
from rag.eval.measures.values import per_query
from rag.eval.runs.ranking import as_run
from rag.rerankers import TokenHead
from rag.retrievers import BM25, CentroidInteraction, Dense, Hybrid, LateInteraction
from rag.retrievers.indexes.ivf_pq import IVFPQ
from rag.retrievers.indexes.rabitq import RaBitQ

TOP = (10, 100)
DEPTHS = (50, 100, 200, 500, 1000)
STORAGES = (("float16", 16), ("int8", 8), ("residual4", 4), ("residual2", 2))
SPACES = ((3, 20, 8), (4, 20, 8), (4, 20, 16), (5, 20, 16), (5, 20, 32))
"""Hyperplanes, repetitions, dimensions of a token."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--part", choices=("storage", "candidates"), default="candidates")
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--start", type=int, default=0)
    given = parser.parse_args()
    Measured(Stored(given.tokens), given.head).show(given.part, given.start)


class Measured:
    """One set and one encoder.

    Args:
        stored: The set and its frozen tokens.
        head: Whether a projection of them is learned.
    """

    def __init__(self, stored: Stored, head: bool) -> None:
        self.stored, self.context, self.queries = stored, stored.context, stored.queries
        self.embedder: TokenEmbedder = TokenHead(embedder=stored.encoder, epochs=5) if head else stored.encoder
        self.exact = self.retrieved(LateInteraction(embedder=self.embedder, top_k=max(TOP)))[0]

    def retrieved(self, retriever: Any) -> tuple[Candidates, float]:
        """Its table, and CPU milliseconds a question."""
        self.context.fit(retriever)
        batch = QueryBatch(self.queries)
        batch.embeddings(self.stored.encoder), batch.token_vectors(self.embedder)
        start = time.process_time()
        table = retriever.retrieve(batch)
        return table, (time.process_time() - start) / len(self.queries) * 1000

    def quality(self, table: Candidates) -> Any:
        """nDCG@10 of each question, float64 [n]."""
        run = as_run(self.queries, table, self.context.corpus)
        values = per_query(parse_measures(["nDCG@10"]), self.stored.qrels, run)["nDCG@10"]
        return np.array([values[query.id] for query in self.queries])

    def share(self, table: Candidates, top: int, depth: int) -> float:
        """Mean share of the exact best among the first of a table."""
        rows = zip(self.exact.head(top).documents, table.head(depth).documents, strict=True)
        return float(np.mean([np.isin(best[best >= 0], listed).mean() for best, listed in rows]))

    def show(self, part: str, start: int) -> None:
        tokens = self.context.embed_passage_tokens(self.embedder).ends[-1] / len(self.context.corpus)
        print(f"\n{self.stored.name}: {len(self.context.corpus):,} of {self.stored.n_all:,} documents, {tokens:.0f} "
              f"tokens each, {self.embedder.dimension} dimensions, {len(self.queries)} questions\n")  # fmt: skip
        self.storage(start) if part == "storage" else self.candidates(start)

    def storage(self, start: int) -> None:
        print("| set | pooled | bits | bytes a document | exact top 10 kept | nDCG@10 | to 16 bits | 95 % | CPU ms |")
        print("|---" * 9 + "|")
        whole = self.quality(self.exact)
        for factor, (storage, bits) in list(itertools.product((1, 2, 4), STORAGES))[start:]:
            embedder = self.embedder if factor == 1 else PooledTokens(embedder=self.embedder, factor=factor)
            retriever = LateInteraction(embedder=embedder, storage=storage, top_k=100)  # type: ignore[arg-type]
            table, ms = self.retrieved(retriever)
            size = retriever.tokens.bytes / len(self.context.corpus)
            values = self.quality(table)
            apart = compare(values, whole)
            low, high = apart.ci95 or (0.0, 0.0)
            print(f"| {self.stored.name} | {factor} | {bits} | {size:,.0f} | {self.share(table, 10, 10):.3f} | "
                  f"{values.mean():.4f} | {apart.difference:+.4f} | {low:+.4f} to {high:+.4f} | {ms:.1f} |",
                  flush=True)  # fmt: skip

    def candidates(self, start: int) -> None:
        depths = [depth for depth in DEPTHS if depth < len(self.context.corpus)]
        most = max(depths)
        columns = [f"top {top} in {depth}" for top in TOP for depth in depths if depth >= top]
        print(f"| first stage | bytes a document | {' | '.join(columns)} | nDCG@10 alone | CPU ms |")
        print("|---" * (len(columns) + 4) + "|")
        words, vector = BM25(top_k=most), Dense(embedder=self.stored.encoder, top_k=most)
        n_tokens = self.context.embed_passage_tokens(self.embedder).ends[-1] / len(self.context.corpus)
        rows: list[tuple[str, Any, float]] = [
            ("pooled vector of the encoder", vector, 4 * self.stored.encoder.dimension),
            ("BM25", words, 0),
            ("hybrid of both", Hybrid(retrievers=[words, vector], top_k=most), 4 * self.stored.encoder.dimension),
        ]
        if self.embedder is not self.stored.encoder:
            rows.insert(1, ("pooled vector of the head", Dense(embedder=self.embedder, top_k=most), 4 * 128))
        for n_probe, prune in ((2, 0.4), (4, 0.4), (8, 0.4), (8, 0.0)):
            retriever = CentroidInteraction(embedder=self.embedder, n_probe=n_probe, prune=prune, top_k=most)
            rows.append((f"centroids, {n_probe} probed, pruned below {prune}", retriever, 4 * n_tokens))
        for k_sim, repetitions, width in SPACES:
            for fill in (True, False):
                space = MUVERA(embedder=self.embedder, k_sim=k_sim, repetitions=repetitions, d_proj=width, fill=fill)
                name = f"MUVERA {space.dimension:,} ({k_sim}, {repetitions}, {width}){'' if fill else ', no fill'}"
                rows.append((name, self._fde(space, most), 4 * space.dimension))
        for fill in (True, False):
            space = MUVERA(embedder=self.embedder, k_sim=4, repetitions=10, projection="svd", d_proj=64, fill=fill)
            rows.append((f"MUVERA 10,240, SVD 64{'' if fill else ', no fill'}", self._fde(space, most), 4 * 10240))
        coded = MUVERA(embedder=self.embedder, fill=False)
        for name, index, size in (
            ("codes of MUVERA 2,560, 1 bit", RaBitQ(refine=None), coded.dimension / 8),
            ("the same, then full vectors", RaBitQ(refine=4), coded.dimension / 8),
            ("product codes of MUVERA 2,560", IVFPQ(opq=False, refine=None), coded.dimension / 8),
            ("the same, then full vectors", IVFPQ(opq=False, refine=4), coded.dimension / 8),
        ):
            rows.append((name, Dense(embedder=coded, metric="inner_product", index=index, top_k=most), size))
        for name, retriever, size in rows[start:]:
            table, ms = self.retrieved(retriever)
            shares = [self.share(table, top, depth) for top in TOP for depth in depths if depth >= top]
            cells = " | ".join(f"{share:.3f}" for share in shares)
            print(f"| {name} | {size:,.0f} | {cells} | {self.quality(table).mean():.4f} | {ms:.2f} |", flush=True)
        print(f"| exact MaxSim | {2 * self.embedder.dimension * n_tokens:,.0f} |{' |' * len(columns)} "
              f"{self.quality(self.exact).mean():.4f} | |")  # fmt: skip

    @staticmethod
    def _fde(space: MUVERA, most: int) -> Dense:
        return Dense(embedder=space, metric="inner_product", top_k=most)


if __name__ == "__main__":
    main()
