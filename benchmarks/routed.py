"""Does learning to route in a similarity graph save distance computations?

    python benchmarks/routed.py DATA [--sets nfcorpus,scifact] [--rounds 4] [--store DIR]

After Baranchuk et al. 2019 (Learning to Route in Similarity Graphs), small: best-first search with a beam on the lowest
layer of an HNSW graph, from its entry point, by learned representations instead of the vectors: ``x + A x + B mean of
the neighbors`` for vertices and ``q + C q`` for queries, with A, B and C from 0, so that it begins as the plain search.
They learn by imitation: at every step of searches for training questions, the vertices of the queue that are fewest
links from the nearest document should score highest. What the beam holds at the end is ranked by the vectors, which
counts as computations too. Compared with the plain search on the same graph, and with faiss' own search from the upper
layers. Shown is the computations of the test questions until a recall@10, interpolated. DATA has folders in BEIR's
layout; documents and questions are embedded by MiniLM. Prints Markdown.
"""

from __future__ import annotations

import argparse
import heapq
from pathlib import Path
from typing import Any

import numpy as np
from decomposed import MODEL

from rag import Pipeline, QueryBatch, SentenceTransformerEmbedder, Store
from rag.eval.datasets.load import load_dataset
from rag.retrievers import Dense

M, K, STEPS, SCALE = 8, 10, 40, 20.0
BEAMS = (4, 6, 10, 16, 24, 40, 64, 100, 160)
RECALLS = (0.8, 0.9, 0.95)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="nfcorpus,scifact")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--store", type=Path, default=None)
    given = parser.parse_args()
    store = None if given.store is None else Store(given.store)
    print(
        f"| set | search | {' | '.join(f'recall {recall:g}' for recall in RECALLS)} |\n|---|---|{'---|' * len(RECALLS)}"
    )
    for name in given.sets.split(","):
        measure(given.data / name, given.rounds, store)


def measure(path: Path, rounds: int, store: Store | None) -> None:
    dataset, embedder = load_dataset(path), SentenceTransformerEmbedder(MODEL)
    retriever = Dense(embedder=embedder)
    Pipeline(retriever=retriever).fit(dataset.corpus, store=store)
    vectors = retriever.index.reconstruct(np.arange(len(dataset.corpus), dtype=np.int64))
    train, test = (
        QueryBatch(dataset.split(split).queries, store=store).embeddings(embedder) for split in ("train", "test")
    )
    index, graph, entry = graph_of(vectors)
    exact = np.argsort(-(test @ vectors.T), axis=1)[:, :K]
    rows = {"faiss, from the upper layers": by_faiss(index, test, exact)}
    rows["plain, lowest layer"] = curve(graph, entry, vectors, test, vectors, test, exact)
    learned = learn(graph, entry, vectors, train, rounds)
    seen, asked = learned(vectors), learned.of_queries(test)
    rows[f"learned from {len(train)} questions"] = curve(graph, entry, seen, asked, vectors, test, exact)
    for label, points in rows.items():
        recall, spent = np.array(points).T
        cells = [f"{np.interp(wanted, recall, spent):.0f}" if recall.max() >= wanted else "-" for wanted in RECALLS]
        print(f"| {dataset.name}, {len(vectors)} documents | {label} | {' | '.join(cells)} |", flush=True)


def graph_of(vectors: Any) -> tuple[Any, Any, int]:
    """An HNSW index; links of its lowest layer, int [n, 2 M], -1 for none; its entry point."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    offsets = faiss.vector_to_array(index.hnsw.offsets)
    links = faiss.vector_to_array(index.hnsw.neighbors)
    return index, np.stack([links[start : start + 2 * M] for start in offsets[:-1].astype(int)]), index.hnsw.entry_point


def by_faiss(index: Any, queries: Any, exact: Any) -> list[tuple[float, float]]:
    import faiss

    points = []
    for beam in BEAMS:
        faiss.cvar.hnsw_stats.reset()
        keys = index.search(queries, K, params=faiss.SearchParametersHNSW(efSearch=max(beam, K)))[1]
        points.append((recall_of(keys, exact), faiss.cvar.hnsw_stats.ndis / len(queries)))
    return rising(points)


def curve(graph: Any, entry: int, seen: Any, asked: Any, vectors: Any, queries: Any, exact: Any) -> Any:
    points = []
    for beam in BEAMS:
        keys, spent = [], 0
        for query, full in zip(asked, queries, strict=True):
            held, scored, _ = search(graph, entry, seen, query, max(beam, K))
            spent += scored + (0 if seen is vectors else len(held))
            keys.append(held[np.argsort(-(vectors[held] @ full))][:K])
        points.append((recall_of(keys, exact), spent / len(queries)))
    return rising(points)


def search(graph: Any, entry: int, seen: Any, query: Any, beam: int, steps: int = 10**9) -> tuple[Any, int, list[Any]]:
    """What the beam holds, vertices scored, and the queue before each step (at most ``steps`` of them)."""
    visited = {entry}
    first = float(seen[entry] @ query)
    queue, held = [(-first, entry)], [(first, entry)]
    queues: list[Any] = []
    while queue and len(queues) < steps:
        if -queue[0][0] < held[0][0] and len(held) >= beam:
            break
        queues.append([vertex for _, vertex in queue] if steps < 10**9 else None)
        _, vertex = heapq.heappop(queue)
        new = [link for link in graph[vertex].tolist() if link >= 0 and link not in visited]
        visited.update(new)
        for score, link in zip((seen[new] @ query).tolist(), new, strict=True):
            if len(held) < beam or score > held[0][0]:
                heapq.heappush(queue, (-score, link))
                heapq.heappush(held, (score, link))
                if len(held) > beam:
                    heapq.heappop(held)
    return np.array([vertex for _, vertex in held]), len(visited), queues


class Routes:
    """Representations of vertices and queries."""

    def __init__(self, neighbors: Any, dimension: int) -> None:
        import torch

        self.neighbors = neighbors
        self.maps = [torch.zeros(dimension, dimension, requires_grad=True) for _ in range(3)]

    def __call__(self, vectors: Any) -> Any:
        own, near, _ = (matrix.detach().numpy() for matrix in self.maps)
        return np.asarray(vectors + vectors @ own + self.neighbors @ near, dtype=np.float32)

    def of_queries(self, queries: Any) -> Any:
        return np.asarray(queries + queries @ self.maps[2].detach().numpy(), dtype=np.float32)


def learn(graph: Any, entry: int, vectors: Any, queries: Any, rounds: int) -> Routes:
    import scipy.sparse as sp
    import torch
    from scipy.sparse.csgraph import shortest_path

    n = len(vectors)
    row, column = np.nonzero(graph >= 0)
    links = sp.csr_array((np.ones(len(row)), (row, graph[row, column])), shape=(n, n))
    neighbors = (links @ vectors / np.maximum(links.sum(axis=1), 1)[:, None]).astype(np.float32)
    routes = Routes(neighbors, vectors.shape[1])
    optimizer = torch.optim.AdamW(routes.maps, lr=3e-4)
    target = (queries @ vectors.T).argmax(axis=1)
    rng = np.random.default_rng(0)
    whole, near = torch.from_numpy(vectors), torch.from_numpy(neighbors)
    for _ in range(rounds):
        chosen = rng.choice(len(queries), min(400, len(queries)), replace=False)
        hops = shortest_path(links.T, unweighted=True, indices=target[chosen])  # of each vertex to the target
        seen, asked = routes(vectors), routes.of_queries(queries)
        examples = []
        for at, question in enumerate(chosen.tolist()):
            for queue in search(graph, entry, seen, asked[question], K, STEPS)[2]:
                left = hops[at, queue]
                if len(queue) > 1 and left.min() < left.max():
                    examples.append((question, np.array(queue), left == left.min()))
        order = rng.permutation(len(examples))
        for first in range(0, len(order), 256):
            batch = [examples[index] for index in order[first : first + 256]]
            width = max(len(queue) for _, queue, _ in batch)
            vertices = np.zeros((len(batch), width), dtype=np.int64)
            best, there = (np.zeros((len(batch), width), dtype=bool) for _ in range(2))
            for index, (_, queue, nearest) in enumerate(batch):
                vertices[index, : len(queue)], best[index, : len(queue)] = queue, nearest
                there[index, : len(queue)] = True
            query = torch.from_numpy(queries[[question for question, _, _ in batch]])
            own, mean, moved = routes.maps
            used, inverse = np.unique(vertices, return_inverse=True)
            shown = whole[used] + whole[used] @ own + near[used] @ mean
            scores = SCALE * torch.einsum("bwd,bd->bw", shown[inverse.reshape(vertices.shape)], query + query @ moved)
            scores = scores.masked_fill(~torch.from_numpy(there), -torch.inf)
            right = scores.masked_fill(~torch.from_numpy(best), -torch.inf)
            loss = (scores.logsumexp(dim=1) - right.logsumexp(dim=1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return routes


def recall_of(keys: Any, exact: Any) -> float:
    return float(
        np.mean([len({*map(int, mine)} & {*best.tolist()}) / K for mine, best in zip(keys, exact, strict=True)])
    )


def rising(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points in the order of recall, for interpolation."""
    return sorted(set(points))


if __name__ == "__main__":
    main()
