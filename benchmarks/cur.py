"""CUR search against reranking at equal scorer calls.

    python benchmarks/cur.py DATA MODEL [PART ...]     # DATA/scifact, DATA/nfcorpus; MODEL a cross-encoder's folder

PARTs: cross-encoder:NAME, max-sim:NAME (NAME scifact or nfcorpus), overhead; all by default. Exact scores of all
pairs come first. Those of the cross-encoder, for a sample of the documents, go through the store (RAG_STORE): stopped
at any time and started again, it resumes. Those of max-sim, over whole corpora, are of the encoder's static token
vectors, which take no forward pass. Everything after looks scores up, so that methods and settings cost nothing but
themselves; calls are counted by the ledger. Prints Markdown.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cur_overhead import overhead
from cur_world import MINILM, World, world

from rag import (
    Stage,
)
from rag.eval import per_query
from rag.eval.measures.interval import interval
from rag.eval.measures.names import parse_measures
from rag.rerankers import (
    ADACUR,
    ANNCUR,
    AXN,
    CUR,
    AnchorQueryFactors,
    EmbeddingFactors,
    GraphAdaptive,
    MatrixFactorization,
    Rerank,
)
from rag.rerankers.cur.anchor_queries import fold_in
from rag.rerankers.cur.anchors import choose_anchors
from rag.rerankers.cur.engine import Plan, Prior, search
from rag.rerankers.cur.items import Everything
from rag.store.store import Store
from rag.tables import is_in

BUDGETS = (25, 50, 100, 200, 500)
DEPTHS = (1, 10, 100)
SEEDS = (0, 1, 2)


# -- methods ----------------------------------------------------------------------------------------------------------

Make = Callable[[World, int], Stage]


def methods(world: World) -> Iterator[tuple[str, str, dict[str, Make]]]:
    """Name, first stage and the settings to choose from on dev."""
    s, vectors = world.scorer, EmbeddingFactors(embedder=MINILM)
    for first in ("bm25", "dense", "hybrid"):
        yield f"rerank of {first}", first, {"": lambda w, b: Rerank(scorer=s, budget=b, scores="scorer")}
    yield (
        "graph_adaptive",
        "hybrid",
        {
            f"neighbours {k}, batches of {size}": lambda w, b, k=k, size=size: GraphAdaptive(
                scorer=s, embedder=MINILM, neighbours=k, budget=b, batch_size=size
            )
            for k, size in ((8, 8), (16, 16))
        },
    )
    if world.name.startswith("max-sim"):
        anchors = AnchorQueryFactors(count=200)
        yield (
            "anncur",
            "hybrid",
            {
                f"{start}, {share:.0%} anchors": lambda w, b, start=start, share=share: ANNCUR(
                    scorer=s, factors=anchors, budget=b, anchors=max(1, int(b * share)), start=start
                )
                for start, share in (("k_means", 0.25), ("l2_greedy", 0.25), ("l2_greedy", 0.5))
            },
        )
        yield (
            "adacur",
            "hybrid",
            {
                f"{share:.0%} anchors": lambda w, b, share=share: ADACUR(
                    scorer=s, factors=anchors, budget=b, anchors=int(b * share) if share < 1 else None, rounds=5
                )
                for share in (0.5, 1.0)
            },
        )
        yield (
            "cur, anchor_queries",
            "hybrid",
            {"": lambda w, b: CUR(scorer=s, factors=anchors, budget=b, scores="scorer")},
        )
        for variant in ("inductive", "transductive"):
            sparse = MatrixFactorization(embedder=MINILM, variant=variant)
            yield (
                f"cur, matrix_factorisation ({variant})",
                "hybrid",
                {"": lambda w, b, sparse=sparse: CUR(scorer=s, factors=sparse, budget=b, scores="scorer")},
            )
    yield (
        "axn",
        "hybrid",
        {
            f"ridge {ridge}, interpolation {share}": lambda w, b, ridge=ridge, share=share: AXN(
                scorer=s, factors=vectors, budget=b, ridge=ridge, interpolation=share
            )
            for ridge, share in itertools.product((0.1, 1.0), (0.0, 0.8))
        },
    )
    for first in ("bm25", "dense", "hybrid"):
        yield (
            f"**cur** (default) after {first}",
            first,
            {"": lambda w, b: CUR(scorer=s, factors=vectors, budget=b, scores="scorer")},
        )


def run(world: World, make: Make, first: str, split: str, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Recall [q, depths] and nDCG@10 [q]."""
    stage, batch = make(world, min(budget, len(world.context.passages))), world.asked(split)
    world.context.fit(stage)
    result = stage.process(batch, world.lists[first][split])
    calls = batch.ledger.total.scorer_calls / len(batch)
    assert calls <= budget, (calls, budget)
    exact = np.argsort(-world.scores(split), axis=1, kind="stable")
    recall = np.stack([is_in(exact[:, :k], result.documents).mean(axis=1) for k in DEPTHS], axis=1)
    ids = world.context.corpus.ids(np.arange(len(world.context.corpus)))
    ranked = {
        query.id: {ids[p]: -float(rank) for rank, p in enumerate(row[row >= 0].tolist())}
        for query, row in zip(batch.queries, result.documents, strict=True)
    }
    qrels = {query.id: world.qrels[query.id] for query in batch.queries}
    ndcg = per_query(parse_measures(["nDCG@10"]), qrels, ranked)["nDCG@10"]
    return recall, np.array([ndcg[query.id] for query in batch.queries])


def compare(world: World) -> None:
    n, m = len(world.test), len(world.context.corpus)
    print(f"\n### {world.name}: {m} documents, {len(world.dev)} dev and {n} test queries\n")
    print("Top-1 / 10 / 100-Recall and nDCG@10 on test; settings chosen on dev by mean Top-10 and Top-100-Recall.\n")
    print("| method | settings | " + " | ".join(f"{b} calls" for b in BUDGETS) + " |")
    print("|---|---|" + "---|" * len(BUDGETS))
    kept: dict[str, dict[int, np.ndarray]] = {}
    for name, first, settings in methods(world):
        chosen = next(iter(settings))
        if len(settings) > 1:
            chosen = max(
                settings,
                key=lambda setting: np.mean(
                    [run(world, settings[setting], first, "dev", b)[0][:, 1:].mean() for b in BUDGETS]
                ),
            )
        cells = []
        for budget in BUDGETS:
            recall, ndcg = run(world, settings[chosen], first, "test", budget)
            kept.setdefault(name, {})[budget] = np.column_stack([recall, ndcg])
            cells.append(" / ".join(f"{x:.3f}" for x in recall.mean(axis=0)) + f", {ndcg.mean():.3f}")
        print(f"| {name} | {chosen} | " + " | ".join(cells) + " |", flush=True)
    print("\n`cur` less `rerank`, both after hybrid, paired, 95 % interval over queries:\n")
    print("| | " + " | ".join(f"{b} calls" for b in BUDGETS) + " |\n|---|" + "---|" * len(BUDGETS))
    for column, label in enumerate(("Top-1", "Top-10", "Top-100", "nDCG@10")):
        cells = []
        for budget in BUDGETS:
            gap = kept["**cur** (default) after hybrid"][budget] - kept["rerank of hybrid"][budget]
            low, high = interval(gap[:, [column]])[0]
            cells.append(f"{gap[:, column].mean():+.3f} ({low:+.3f} to {high:+.3f})")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def exploration(world: World) -> None:
    print(f"\nWhether exploring pays ({world.name}, default after hybrid, dev): Top-10 / Top-100-Recall\n")
    print("| acquisition | exploration | 50 calls | 100 calls | 200 calls |\n|---|---|---|---|---|")
    vectors = EmbeddingFactors(embedder=MINILM)
    for how, much in [("mean", 0.0), *itertools.product(("ucb", "thompson", "softmax"), (0.1, 0.3, 1.0))]:
        cells = []
        for budget in (50, 100, 200):

            def make(w: World, b: int, how: str = how, much: float = much) -> Stage:
                return CUR(
                    scorer=w.scorer, factors=vectors, budget=b, acquisition=how, exploration=much, scores="scorer"
                )

            recall, _ = run(world, make, "hybrid", "dev", budget)
            cells.append(f"{recall[:, 1].mean():.3f} / {recall[:, 2].mean():.3f}")
        print(f"| {how} | {much} | " + " | ".join(cells) + " |", flush=True)


def blending(world: World) -> None:
    print(f"\nBlend ({world.name}, after hybrid, test): nDCG@10 by weight of the first stage; `tuned` on dev\n")
    weights = (None, 0.25, 0.5, 0.75, 1.0, "tuned")
    print("| | " + " | ".join(str(weight) for weight in weights) + " |\n|---|" + "---|" * len(weights))
    vectors = EmbeddingFactors(embedder=MINILM)
    for label, of in (("rerank", Rerank), ("cur", lambda **given: CUR(factors=vectors, **given))):
        for budget in (50, 200):
            cells = []
            for weight in weights:

                def make(w: World, b: int, weight: object = weight, of: Callable[..., Stage] = of) -> Stage:
                    return of(scorer=w.scorer, budget=b, blend=weight)

                cells.append(f"{run(world, make, 'hybrid', 'test', budget)[1].mean():.3f}")
            print(f"| {label}, {budget} calls | " + " | ".join(cells) + " |", flush=True)


def anchor_choice(world: World) -> None:
    print(f"\n### Anchor choice ({world.name}): share of the exact top 10 / top 100 among the best predictions\n")
    print("ANNCUR's own test: anchors cost, predictions alone rank; 200 anchor queries; mean of 3 seeds.\n")
    print("| anchors | popular | random | k_means | l2_greedy |\n|---|---|---|---|---|")
    training = [world.scorer.rows[query.id] for query in world.context.training.queries]
    vectors, offsets = fold_in(world.scorer.table[training])
    exact, q = world.scores("test"), len(world.test)
    order = np.argsort(-exact, axis=1, kind="stable")
    nobody = np.empty((q, 0), dtype=np.int64)
    for count in (25, 50, 100, 150):
        cells = []
        for how in ("popular", "random", "k_means", "l2_greedy"):
            shares = []
            for seed in SEEDS:
                anchors = (
                    np.argsort(-offsets)[:count] if how == "popular" else choose_anchors(vectors, how, count, seed=seed)
                )
                items = Everything(vectors, offsets, nobody)
                plan = Plan([count, 100], solver="pinv")
                first = np.broadcast_to(anchors, (q, count))
                # The best 100 predictions, anchors left out, are what the second round would score.
                taken, *_ = search(
                    items,
                    lambda r, i: exact[r, i],
                    plan,
                    first=first,
                    prior=Prior.of(nobody, nobody.astype(np.float32)),
                )
                recalls = [
                    is_in(order[:, :k], np.concatenate([taken[:, count : count + k], taken[:, :count]], 1)).mean()
                    for k in (10, 100)
                ]
                shares.append(recalls)
            cells.append(" / ".join(f"{x:.3f}" for x in np.mean(shares, axis=0)))
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)


def main(data: Path, model: str, parts: list[str]) -> None:
    known = [f"{kind}:{name}" for kind in ("cross-encoder", "max-sim") for name in ("scifact", "nfcorpus")]
    store = Store()
    for part in parts or [*known, "overhead"]:
        if part == "overhead":
            overhead()
            continue
        scored_world = world(data, part, model, store)
        compare(scored_world)
        exploration(scored_world)
        blending(scored_world)
        if part.startswith("max-sim"):
            anchor_choice(scored_world)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
