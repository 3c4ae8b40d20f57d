"""A pipeline that is kept current answers as one that was built anew on the documents it has."""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import rag.registry
from rag import (
    LSA,
    ArtifactError,
    ConfigError,
    DataError,
    Document,
    Pipeline,
    Query,
    RecursiveChunker,
    Stage,
    Threshold,
    Training,
)
from rag.rerankers import CUR, EmbeddingFactors, GraphAdaptive, MaxSim, Rerank
from rag.retrievers import (
    BM25,
    HNSW,
    NSG,
    Auto,
    Dense,
    Factory,
    Flat,
    Hybrid,
    IVFFlat,
    Keyed,
    ScalarQuantized,
    SummaryKey,
    TextKey,
)
from rag.store.store import Store
from rag.summarizers import Distilled, Extractive, Precomputed
from tests.fakes import CountingScorer, WordEmbedder

WORDS = [f"word{n}" for n in range(40)]
TEXTS = [" ".join(random.Random(n).sample(WORDS, 4)) for n in range(12)]
FILTERS = (None, {"year": {"lt": 1996}}, {"year": {"gte": 1998}})
QUERIES = [Query(f"q{n}", text, filter=FILTERS[n % 3]) for n, text in enumerate(TEXTS)]


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randrange(25)))


def documents(rng: random.Random, ids: list[str]) -> list[Document]:
    return [Document(id, text(rng), {"year": rng.randrange(1990, 2000)}) for id in ids]


class Counting(WordEmbedder):
    """Counts the texts it embeds.

    Args:
        size: Length of the vectors.
    """

    type = "fake_counted_words"
    embedded = 0

    def embed_documents(self, texts, *, advance=None):  # type: ignore[no-untyped-def]
        type(self).embedded += len(texts)
        return super().embed_documents(texts, advance=advance)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Saved pipelines find the components of this module by name."""
    ours = rag.registry.entry_points
    names = {"embedder.fake_counted_words": "Counting", "embedder.fake_weights": "Weights"}
    fakes = [EntryPoint(name, f"{__name__}:{cls}", "rag.components") for name, cls in names.items()]
    monkeypatch.setattr(
        rag.registry, "entry_points", lambda group: [*ours(group), *(f for f in fakes if f.group == group)]
    )
    rag.registry._entries.cache_clear()
    Counting.embedded = 0
    yield
    rag.registry._entries.cache_clear()


def bm25(**arguments) -> Pipeline:
    return Pipeline(retriever=BM25(top_k=30, **arguments))


def dense(index=None, **arguments) -> Pipeline:
    return Pipeline(retriever=Dense(embedder=Counting(size=8), index=index or Flat(), top_k=30), **arguments)


def hybrid() -> Pipeline:
    return Pipeline(
        chunker=RecursiveChunker(size=30, unit="characters"),
        retriever=Hybrid(retrievers=[BM25(top_k=40), Dense(embedder=Counting(size=8), top_k=40)], top_k=20),
        stages=[Rerank(scorer=MaxSim(embedder=Counting(size=8)), budget=15)],
    )


def chunked(retriever) -> Pipeline:
    return Pipeline(chunker=RecursiveChunker(size=30, unit="characters"), retriever=retriever)


def whole_corpus(stage, **arguments) -> Pipeline:
    """Scores all there is, so that it finds the same from wherever it starts."""
    embedder = Counting(size=8)
    factors = EmbeddingFactors(embedder=embedder)
    return Pipeline(
        retriever=BM25(top_k=5),
        stages=[stage(scorer=MaxSim(embedder=embedder), factors=factors, budget=300, **arguments)],
    )


def keyed(pooling: str) -> Pipeline:
    """By passages, by all passages together, and by a summary."""
    embedder = Counting(size=8)
    keys = [
        TextKey(retriever=BM25(top_k=200)),
        TextKey(retriever=Dense(embedder=embedder, top_k=200), pooling=pooling),
        SummaryKey(
            summarizer=Extractive(embedder=embedder, sentences=1),
            retriever=Dense(embedder=embedder, top_k=200),
            pooling=pooling,
        ),
    ]
    return chunked(Keyed(keys=keys, top_k=30))


def graph_adaptive() -> Pipeline:
    embedder = Counting(size=8)
    stage = GraphAdaptive(scorer=MaxSim(embedder=embedder), embedder=embedder, neighbours=300, budget=300)
    return Pipeline(retriever=BM25(top_k=5), stages=[stage])


def answers(pipeline: Pipeline, queries=QUERIES) -> list[list[tuple]]:
    return [
        [(hit.document.id, hit.start, hit.end, hit.document.metadata.get("year"), hit.score) for hit in result]
        for result in pipeline.search(queries)
    ]


def check_alike(expected: Pipeline, actual: Pipeline, queries=QUERIES) -> None:
    """The same hits, passages and scores; documents whose scores are equal but for rounding may change places."""
    for hits, other in zip(answers(expected, queries), answers(actual, queries), strict=True):
        np.testing.assert_allclose([hit[-1] for hit in hits], [hit[-1] for hit in other], rtol=2e-6, atol=2e-6)
        last = hits[-1][-1] + 1e-5 if hits else 0.0  # ties at the end of the list may be cut otherwise
        assert sorted(hit[:-1] for hit in hits if hit[-1] > last) == sorted(hit[:-1] for hit in other if hit[-1] > last)


MAKERS = {
    **{
        f"bm25 {variant}": functools.partial(bm25, variant=variant)
        for variant in ("lucene", "robertson", "atire", "bm25l", "bm25+")
    },
    "bm25 plain words": lambda: chunked(BM25(stemmer=None, stopwords=None, top_k=30)),
    "bm25 chunked": lambda: chunked(BM25(top_k=30)),
    "dense": dense,
    "dense chunked": lambda: chunked(Dense(embedder=Counting(size=8), top_k=30)),
    "dense inner product": lambda: chunked(Dense(embedder=Counting(size=8), metric="inner_product", top_k=30)),
    "ivf, all probed": lambda: dense(IVFFlat(n_clusters=2, n_probe=2)),
    "scalar_quantized, all refined": lambda: dense(ScalarQuantized(refine=10)),
    "nsg, which cannot grow": lambda: dense(NSG()),
    "auto": lambda: dense(Auto()),
    "hnsw": lambda: dense(HNSW(m=16, ef_search=500)),
    "factory": lambda: dense(Factory("Flat")),
    "hybrid with max_sim": hybrid,
    "cur": lambda: whole_corpus(CUR),
    "cur from anchors": lambda: whole_corpus(
        CUR, start="l2_greedy", blend=0.75
    ),  # by itself, it is kept as it was fitted
    "graph_adaptive": graph_adaptive,
    "keyed": lambda: keyed("max"),
    "keyed, pooled": lambda: keyed("log_sum_exp"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_any_sequence_of_changes_equals_a_new_index(name: str, tmp_path: Path) -> None:
    """In memory, and after any change from disk."""
    rng = random.Random(name)
    living = {document.id: document for document in documents(rng, [f"d{n}" for n in range(40)])}
    pipeline = MAKERS[name]().fit(list(living.values()))
    numbers = iter(range(40, 1000))
    compacted = 0
    steps = [*rng.sample(["add", "add", "delete", "sync"], 4), *rng.sample(["compact", "delete", "add"], 3)]
    for step, change in enumerate(steps):
        if step % 4 >= 2:
            pipeline.save(tmp_path / "index")
            pipeline = Pipeline.load(tmp_path / "index", verify=True)
        if change in ("add", "sync"):
            fresh = documents(rng, [f"d{next(numbers)}" for _ in range(rng.randrange(1, 8))])
            known = rng.sample(sorted(living), 6)
            changed = documents(rng, known[:2])
            same = [living[id] for id in known[2:4]]
            relabeled = [Document(id, living[id].text, {"year": 1900 + step}) for id in known[4:]]
            given = [*fresh, *changed, *same, *relabeled]
            rng.shuffle(given)
            if change == "sync":
                stays = set(rng.sample(sorted(living), len(living) - 3)) | set(known)
                gone = len(living) - len(stays)
                given += [living[id] for id in sorted(stays - set(known))]
                changes = pipeline.sync(given, compact_at=0.3, max_deletes=None)
                living = {id: living[id] for id in living if id in stays}
                assert (gone, len(stays) - 4) == (changes.deleted, changes.skipped)
            else:
                changes = pipeline.add(given, compact_at=0.3)
                assert (0, 2) == (changes.deleted, changes.skipped)
            assert (len(fresh), 4) == (changes.added, changes.updated)
            for document in given:  # one whose text changed comes last, as in the index
                if document.id in living and living[document.id].text != document.text:
                    del living[document.id]
                living[document.id] = document
        elif change == "delete":
            gone = rng.sample(sorted(living), 4)
            changes = pipeline.delete([*gone, "nobody"], compact_at=0.3)
            assert (4, ("nobody",)) == (changes.deleted, changes.unknown)
            living = {id: living[id] for id in living if id not in gone}
        else:
            changes = pipeline.compact()
            assert len(pipeline.corpus) == len(living)
        compacted += changes.compacted
        assert len(living) == pipeline.corpus.n_alive
        check_alike(MAKERS[name]().fit(list(living.values())), pipeline)
    assert compacted


@pytest.fixture
def given() -> list[Document]:
    return documents(random.Random(1), [f"d{n}" for n in range(30)])


def test_only_what_is_new_is_embedded(tmp_path: Path, given: list[Document]) -> None:
    dense().fit(given).save(tmp_path / "index")
    Counting.embedded = 0
    with Pipeline.editing(tmp_path / "index") as pipeline:
        changes = pipeline.add([*given[:10], Document("new", "word1 word2"), Document("d20", "word7")])
    assert (1, 1, 10) == (changes.added, changes.updated, changes.skipped)
    assert Counting.embedded == 2
    with Pipeline.editing(tmp_path / "index") as pipeline:
        pipeline.delete(["d1", "d2"])
        assert pipeline.compact().compacted  # the flat index has the vectors
        assert pipeline.add([Document("d5", given[5].text, {"year": 1})]).updated == 1
    assert Counting.embedded == 2
    loaded = Pipeline.load(tmp_path / "index", verify=True)
    assert loaded.corpus[loaded.corpus.position("d5")].metadata == {"year": 1}
    assert (29, 29) == (len(loaded.corpus), loaded.corpus.n_alive)


def test_vectors_come_from_the_store(tmp_path: Path, given: list[Document]) -> None:
    store = Store(tmp_path / "store")
    dense().fit(given, store=store)
    pipeline = dense().fit(given[:20])
    Counting.embedded = 0
    assert pipeline.add(given, store=store).added == 10
    assert Counting.embedded == 0
    check_alike(dense().fit(given), pipeline)


def files_of(folder: Path) -> dict[str, int]:
    data = folder / json.loads((folder / "manifest.json").read_text())["data"]
    return {path.relative_to(data).as_posix(): path.stat().st_ino for path in data.rglob("*") if path.is_file()}


def test_deleting_writes_next_to_nothing(tmp_path: Path, given: list[Document]) -> None:
    hybrid().fit(given).save(tmp_path)
    before = files_of(tmp_path)
    with Pipeline.editing(tmp_path) as pipeline:
        assert pipeline.delete(["d1", "d2"]).deleted == 2
    after = files_of(tmp_path)
    assert {name for name in after if before.get(name) != after[name]} <= {
        "deleted.npy",
        "pipeline.yaml",
        "state/retriever/scaling.json",
    }
    assert not {hit[0] for hits in answers(Pipeline.load(tmp_path, verify=True)) for hit in hits} & {"d1", "d2"}


def test_what_changed_nothing_writes_nothing(tmp_path: Path, given: list[Document]) -> None:
    dense().fit(given).save(tmp_path)
    before = (tmp_path / "manifest.json").stat()
    with Pipeline.editing(tmp_path) as pipeline:
        assert pipeline.add(given).skipped == 30
        assert pipeline.delete(["x", "y"]).unknown == ("x", "y")
    assert before == (tmp_path / "manifest.json").stat()


def test_a_dry_run_counts_and_changes_nothing(given: list[Document]) -> None:
    pipeline = dense().fit(given)
    before = answers(pipeline)
    changes = pipeline.sync([*given[3:], Document("new", "word1")], dry_run=True)
    assert (1, 0, 27, 3) == (changes.added, changes.updated, changes.skipped, changes.deleted)
    assert before == answers(pipeline)
    assert changes.deleted == pipeline.sync([*given[3:], Document("new", "word1")]).deleted


def test_deleted_documents_may_come_back(given: list[Document]) -> None:
    pipeline = hybrid().fit(given)
    before = answers(pipeline)
    pipeline.delete(["d29"])
    assert pipeline.corpus.position("d29") is None
    assert pipeline.add([given[29]]).added == 1
    check_alike(hybrid().fit(given), pipeline)
    assert before == answers(hybrid().fit(given))


def test_enough_deletions_compact(given: list[Document]) -> None:
    pipeline = bm25().fit(given)
    assert not pipeline.delete(["d0", "d1", "d2", "d3", "d4", "d5"]).compacted  # exactly a fifth
    assert (30, 24) == (len(pipeline.corpus), pipeline.corpus.n_alive)
    assert pipeline.delete(["d6"]).compacted
    assert (23, 23) == (len(pipeline.corpus), pipeline.corpus.n_alive)
    assert not pipeline.delete(["d7"], compact_at=1.0).compacted
    assert pipeline.delete(["d8"], compact_at=0.0).compacted
    with pytest.raises(ConfigError, match="compact_at: must be a fraction from 0 to 1, got 2"):
        pipeline.delete(["d9"], compact_at=2)


def test_lists_are_filled_around_deleted_documents() -> None:
    many = [Document(f"d{n}", "cat " * (n + 1) + "dog") for n in range(60)]
    for retriever in (
        BM25(top_k=10),
        Dense(embedder=WordEmbedder(size=8), top_k=10),
        Dense(embedder=WordEmbedder(size=8), index=HNSW(), top_k=10),
    ):
        pipeline = Pipeline(retriever=retriever).fit(many)
        best = [hit.document.id for hit in pipeline.search("cat")]
        pipeline.delete(best, compact_at=1.0)
        ids = [hit.document.id for hit in pipeline.search("cat")]
        assert len(ids) == 10
        assert not set(best) & set(ids)


# -- what is learned ----------------------------------------------------------------------------------------------


def test_lsa_keeps_its_projection_and_says_so(tmp_path: Path, given: list[Document]) -> None:
    Pipeline(retriever=Dense(embedder=LSA(dim=8))).fit(given).save(tmp_path)
    assert Pipeline.load(tmp_path).stale() is None
    with Pipeline.editing(tmp_path) as pipeline:
        before = pipeline.retriever.embedder.embed_queries(TEXTS)
        changes = pipeline.add(documents(random.Random(2), [f"e{n}" for n in range(5)]))
        assert before.tolist() == pipeline.retriever.embedder.embed_queries(TEXTS).tolist()
        prefix = "retriever.embedder ('lsa') was "
        assert prefix + "fitted on 30 passages; of the 35 that the index now has, 5 came later" == changes.stale
    with Pipeline.editing(tmp_path) as pipeline:
        pipeline.delete(["d0", "e0"])
        assert prefix + "fitted on 30 passages; of the 33 that the index now has, 4 came later" == pipeline.stale()
        pipeline.compact()
    loaded = Pipeline.load(tmp_path)
    assert prefix + "fitted on 30 passages; of the 33 that the index now has, 4 came later" == loaded.stale()
    assert "e1" in {hit.document.id for hit in loaded.search(loaded.corpus[loaded.corpus.position("e1")].text)}


class Learned(Stage):
    """Keeps one number, made from the judged queries and, if asked to, from the documents."""

    type = "fake_learned"
    needs = frozenset({"training"})
    fitted = 0
    number = None

    def fit(self, context):  # type: ignore[no-untyped-def]
        super().fit(context)
        type(self).fitted += 1
        self.number = len(context.corpus)

    def save_state(self, folder):  # type: ignore[no-untyped-def]
        (folder / "number").write_text(str(self.number))

    def load_state(self, folder, context):  # type: ignore[no-untyped-def]
        super().load_state(folder, context)
        self.number = int((folder / "number").read_text())

    def process(self, batch, candidates):  # type: ignore[no-untyped-def]
        return candidates


class LearnedFromBoth(Learned):
    """Likewise, from documents too."""

    needs = frozenset({"training", "corpus"})


class LearnedFromDocuments(Learned):
    """Likewise, from documents only."""

    needs = frozenset({"corpus"})


class LearnedFromCandidates(Learned):
    """Likewise, from what the steps before find."""

    needs = frozenset({"training", "candidates"})

    def fit(self, context):  # type: ignore[no-untyped-def]
        super().fit(context)
        self.number = int(context.training_run()[1].counts.max())


def test_what_was_learned_is_kept_refitted_or_refused_by_rule(given: list[Document]) -> None:
    training = Training([], {})
    kept = Pipeline(retriever=BM25(), stages=[Learned()]).fit(given, training=training)
    kept.add([Document("new", "word1")])
    assert kept.stages[0].number == 30
    assert len(kept.stages[0].passages) == 31
    again = Pipeline(retriever=BM25(), stages=[LearnedFromDocuments()]).fit(given)
    again.add([Document("new", "word1")])
    assert again.stages[0].number == 31
    both = Pipeline(retriever=dense().retriever, stages=[LearnedFromBoth()]).fit(given, training=training)
    before = answers(both)
    with pytest.raises(ConfigError, match="learned from documents and judged queries together: index again"):
        both.add([Document("new", "word1 word2 word3")])
    assert before == answers(both)  # the index, which was brought up to date first, is the old one
    assert len(both.corpus) == 30


# -- what is refused ----------------------------------------------------------------------------------------------


def test_what_is_configured_alike_keeps_what_each_has_learned(given: list[Document]) -> None:
    stages: list[Stage] = [LearnedFromCandidates(), Threshold(top_k=2), LearnedFromCandidates()]
    pipeline = Pipeline(retriever=BM25(), stages=stages).fit(given, training=Training(QUERIES, {}))
    numbers = [stage.number for stage in pipeline.stages[::2]]  # type: ignore[attr-defined]
    assert numbers[0] > 2 == numbers[1]
    pipeline.add([Document("new", "word1")])
    assert numbers == [stage.number for stage in pipeline.stages[::2]]  # type: ignore[attr-defined]


def test_encoders_configured_alike_keep_what_each_has_learned(tmp_path: Path, given: list[Document]) -> None:
    keys = []
    for shift in (1, 3):
        file = tmp_path / f"{shift}.jsonl"
        texts = [document.text.split()[shift:][:3] for document in given]
        file.write_text(
            "\n".join(json.dumps({"id": d.id, "summary": " ".join(t)}) for d, t in zip(given, texts, strict=True))
        )
        dense, query = Dense(embedder=WordEmbedder()), Distilled(embedder=WordEmbedder())
        keys.append(SummaryKey(summarizer=Precomputed(str(file)), retriever=dense, query=query))
    pipeline = Pipeline(retriever=Keyed(keys=keys)).fit(given)

    def maps() -> list[np.ndarray]:
        return [key.query.student._map.copy() for key in pipeline.retriever.keys]  # type: ignore[attr-defined]

    before = maps()
    assert not np.allclose(*before)
    pipeline.add([Document("one more", "word1 word2")])
    np.testing.assert_array_equal(before, maps())


def test_two_searches_with_the_same_factors_have_a_vector_for_each_passage(given: list[Document]) -> None:
    stages: list[Stage] = [
        CUR(scorer=CountingScorer(), factors=EmbeddingFactors(embedder=WordEmbedder()), budget=budget, rounds=2)
        for budget in (20, 10)
    ]
    pipeline = Pipeline(retriever=BM25(), stages=stages).fit(given)
    pipeline.add([Document(f"new {n}", f"word{n} word{n + 1}") for n in range(3)])
    fresh = pipeline.spec.clone().fit([*given, *(Document(f"new {n}", f"word{n} word{n + 1}") for n in range(3))])
    for updated, other in zip(pipeline.stages, fresh.stages, strict=True):
        np.testing.assert_allclose(other.factors.vectors, updated.factors.vectors, rtol=1e-6)  # type: ignore[attr-defined]
    assert [hit.document.id for hit in fresh.search("word4 word5")] == [
        hit.document.id for hit in pipeline.search("word4 word5")
    ]


def test_metadata_that_python_takes_for_equal_is_not(given: list[Document]) -> None:
    mixed = [Document("a", "word1", {"x": 1}), Document("b", "word2", {"x": True}), *given]
    pipeline = Pipeline(retriever=BM25()).fit(mixed)
    assert pipeline.add([Document("a", "word1", {"x": True})]).updated == 1
    assert {hit.document.id for hit in pipeline.search("word1 word2", filter={"x": True})} == {"a", "b"}
    assert pipeline.add([Document("a", "word1", {"x": True, "y": float("nan")})]).updated == 1
    assert pipeline.add([Document("a", "word1", {"y": float("nan"), "x": True})]).skipped == 1


def test_an_error_on_the_way_changes_nothing(given: list[Document]) -> None:
    pipeline = hybrid().fit(given)
    before = answers(pipeline)

    class Broken(Exception):
        pass

    def broken(*_: object, **__: object) -> None:
        raise Broken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MaxSim, "update", broken)
        with pytest.raises(Broken):
            pipeline.add([Document("new", "word1 word2"), Document("d3", "word9")])
    assert before == answers(pipeline)
    assert pipeline.add([Document("new", "word1 word2")]).added == 1


def test_wrong_documents_change_nothing(given: list[Document]) -> None:
    pipeline = dense().fit(given)
    before = answers(pipeline)
    for wrong, message in (
        ([Document("a", "x"), Document("a", "y")], "two documents have the id 'a'"),
        ([], "the corpus is empty"),
        ([5], "expected a rag.Document"),
        (["text"], "text: no such file"),
        ([Document("a", "x", {"year": object()})], "its metadata field 'year' holds object, which is not JSON"),
    ):
        with pytest.raises(DataError, match=message):
            pipeline.add(wrong)
    with pytest.raises(DataError, match="no document would be left"):
        pipeline.delete([document.id for document in given])
    with pytest.raises(DataError, match="delete takes a sequence of ids"):
        pipeline.delete("d1")
    assert before == answers(pipeline)


def test_another_kind_of_metadata_is_said(given: list[Document]) -> None:
    pipeline = bm25().fit(given)
    changes = pipeline.add(
        [Document("early", "word1", {"year": 3, "other": "y"}), Document("late", "x", {"year": "x"})]
    )
    assert changes.added == 2
    (remark,) = changes.remarks
    assert ("metadata_kinds", ("late",)) == (remark.code, remark.examples)
    assert "the metadata field 'year' holds texts in document 'late', but numbers in all documents" in remark.message
    assert [hit.document.id for hit in pipeline.search("word1", filter={"year": {"lt": 4}})] == ["early"]
    assert pipeline.add([Document("later", "x", {"year": "y"})]).remarks == ()  # mixed ones may stay mixed
    assert len(bm25().fit(given).add([Document("d3", given[3].text, {"year": True})]).remarks) == 1
    assert pipeline.add([Document("none", "x", {"year": None, "other": [1, "z"]})]).remarks[1:] == ()


# -- other formats, other models ----------------------------------------------------------------------------------


def as_format_1(folder: Path) -> None:
    """Rewrite a saved BM25 pipeline to what the code before updates wrote."""
    manifest = json.loads((folder / "manifest.json").read_text())
    data = folder / manifest["data"]
    state = data / "state" / "retriever"
    frequencies = np.load(state / "frequencies.npy")
    (state / "frequencies.npy").unlink()
    np.save(state / "data.npy", frequencies.astype(np.float32) / 2)  # weights: whatever they were, they are not used
    manifest["files"].pop("state/retriever/frequencies.npy")
    manifest["files"]["state/retriever/data.npy"] = {}
    for name, entry in manifest["files"].items():
        content = (data / name).read_bytes()
        entry.clear()
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["format"] = 1
    del manifest["contents"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_the_older_format_is_read_and_rewritten_at_the_next_update(tmp_path: Path, given: list[Document]) -> None:
    pipeline = bm25().fit(given)
    pipeline.save(tmp_path)
    as_format_1(tmp_path)
    assert answers(pipeline) == answers(Pipeline.load(tmp_path, verify=True))
    assert json.loads((tmp_path / "manifest.json").read_text())["format"] == 1
    with Pipeline.editing(tmp_path) as old:
        old.delete(["d0"])
    assert json.loads((tmp_path / "manifest.json").read_text())["format"] == 2
    assert "state/retriever/frequencies.npy" in files_of(tmp_path)
    pipeline.delete(["d0"])
    assert answers(pipeline) == answers(Pipeline.load(tmp_path, verify=True))


class Weights(WordEmbedder):
    """A model with weights that may change.

    Args:
        size: Length of the vectors.
    """

    type = "fake_weights"
    weights = "first"
    precision = "bfloat16"

    def _model_digest(self):  # type: ignore[no-untyped-def]
        return [self.weights]

    def _environment(self):  # type: ignore[no-untyped-def]
        return self.precision


def test_an_index_of_another_model_is_refused(
    tmp_path: Path, given: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, first = Weights(size=4), Weights(size=4).spec.cache_key
    Pipeline(retriever=Dense(embedder=embedder)).fit(given).save(tmp_path)
    monkeypatch.setattr(Weights, "precision", "float32")  # another machine: another key, but the same index
    assert first != Weights(size=4).spec.cache_key
    Pipeline.load(tmp_path)
    monkeypatch.setattr(Weights, "weights", "second")
    refused = (
        r"the model of retriever\.embedder \('fake_weights'\) is not the one that the index was built with: restore "
        "that one, or index again"
    )
    with pytest.raises(ArtifactError, match=refused):
        Pipeline.load(tmp_path)
    with pytest.raises(ArtifactError, match=refused), Pipeline.editing(tmp_path) as pipeline:
        pipeline.add([Document("new", "x")])
    monkeypatch.setattr(Weights, "weights", "first")
    assert len(Pipeline.load(tmp_path, verify=True).corpus) == 30
