"""Work that others do gives what it gives here, and only work that others can do is given away."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from rag import LSA, ConfigError, Document, Pipeline, SentenceTransformerEmbedder
from rag.cli.execution import executed_on
from rag.cluster import Ray, Work
from rag.errors import ServerError
from rag.execution import Execution, embed_documents, executed_elsewhere
from rag.rerankers import CrossEncoderScorer, Rerank
from rag.retrievers import BM25, Dense
from tests.tiny_models import cross_encoder, encoder, words_of

DOCUMENTS = [Document(f"d{n}", f"thing {n} of red and {'green ' * (n % 5)}") for n in range(150)]


class Elsewhere(Execution):
    """Workers in this process; blocks come back in another order."""

    def __init__(self):
        self.calls = Counter()
        self.workers = {}

    def done(self, component, calls):
        worker = self.workers.setdefault(component.spec.cache_key, Work(component.kind, component.spec.to_config()))
        for number in reversed(range(len(calls))):
            method, arguments = calls[number]
            self.calls[method] += 1
            yield number, getattr(worker, method)(*arguments)


def test_an_index_and_its_answers_are_the_same(tmp_path):
    words = words_of(document.text for document in DOCUMENTS)
    model, judge = encoder(words, tmp_path / "encoder"), cross_encoder(words, tmp_path / "judge")

    def make():
        return Pipeline(
            retriever=Dense(embedder=SentenceTransformerEmbedder(model), top_k=300),
            stages=[Rerank(scorer=CrossEncoderScorer(judge), budget=300, blend=None)],
        )

    here, elsewhere = make().fit(DOCUMENTS), Elsewhere()
    there = make().fit(DOCUMENTS, execution=elsewhere, store=tmp_path / "store")
    keys = np.arange(150)
    assert elsewhere.calls == {"embed": 3}
    vectors = there.retriever.index.reconstruct(keys)
    assert np.allclose(vectors, here.retriever.index.reconstruct(keys), atol=1e-6)
    queries = ["thing 3 of red", "green green", "thing 3 of red"]
    with elsewhere.used():
        results = there.search(queries, top_k=150)
    assert elsewhere.calls["score"] == 2
    for result, other in zip(results, here.search(queries, top_k=150), strict=True):
        scores = {hit.document.id: hit.score for hit in result}
        assert scores == pytest.approx({hit.document.id: hit.score for hit in other}, abs=1e-5)
    assert there.fingerprint == here.fingerprint
    make().fit(DOCUMENTS, execution=elsewhere, store=tmp_path / "store")
    assert elsewhere.calls["embed"] == 3  # all was in the store


def test_what_was_fitted_or_lives_here_stays_here():
    elsewhere = Elsewhere()
    with elsewhere.used():
        assert executed_elsewhere(LSA(dim=4)) is None
        assert executed_elsewhere(BM25()) is None
    assert executed_elsewhere(SentenceTransformerEmbedder("x")) is None
    Pipeline(retriever=Dense(embedder=LSA(dim=4))).fit(DOCUMENTS, execution=elsewhere)
    assert elsewhere.calls == {}


def test_places_that_are_none():
    with (
        pytest.raises(ConfigError, match="--on: must be local, ray or ray://HOST:PORT, got 'moon'"),
        executed_on("moon"),
    ):
        pass
    with pytest.raises(ConfigError, match="workers: must be a whole number of at least 1, got 0"):
        Ray(workers=0)
    with executed_on("local"):
        assert executed_elsewhere(SentenceTransformerEmbedder("x")) is None
    for address, kind, message in [
        ("127.0.0.1:1", ServerError, "Ray at 127.0.0.1:1: cannot be reached: Connection refused"),
        ("ray://127.0.0.1:1", ServerError, "Ray at ray://127.0.0.1:1: cannot be reached: Connection refused"),
        ("ray://moon", ConfigError, "address: must be local, HOST:PORT or ray://HOST:PORT, got 'ray://moon'"),
    ]:
        with Ray(address) as ray, ray.used(), pytest.raises(kind, match=message):
            embed_documents(SentenceTransformerEmbedder("x"), ["a"])


def test_summaries_of_a_model_are_written_elsewhere_and_those_of_an_api_here():
    from rag.summarizer import Source, Summarizer, Summary

    class Written(Summarizer):
        type = "written"

        def write(self, sources):
            for number, source in enumerate(sources):
                yield number, Summary((source.text.upper(),))

    class Worker(Execution):
        calls = 0

        def done(self, component, calls):
            for number in reversed(range(len(calls))):
                self.calls += 1
                method, arguments = calls[number]
                yield number, list(getattr(component, method)(*arguments))

    sources = [Source(str(number), f"text {number}") for number in range(20)]
    expected = [(source.text.upper(),) for source in sources]
    for runs_model, calls in ((False, 0), (True, 3)):
        Written.runs_model = runs_model
        with (worker := Worker()).used():
            assert Written().summarize(sources).texts == expected
        assert worker.calls == calls


class Reference:
    def __init__(self, call):
        self.call = call


class FakeRay:
    """As much of Ray as is used, in this process; ``failures`` are raised by the next blocks."""

    class TaskError(Exception):
        def __init__(self, cause):
            super().__init__(f"ray::Work.embed()\n{cause}")
            self.cause = cause

    class Lost(Exception):
        pass

    exceptions = SimpleNamespace(RayTaskError=TaskError, RayError=(TaskError, Lost))

    def __init__(self, *failures, unable=None):
        self.failures = list(failures)
        self.unable = unable

    def cluster_resources(self):
        return {"CPU": 2.0}

    def remote(self, **options):
        def worker(made):
            return SimpleNamespace(remote=lambda *arguments: FakeActor(self, arguments))

        return worker

    def wait(self, references, num_returns, timeout):
        return references[:1], references[1:]

    def get(self, reference):
        return reference.call()

    def kill(self, actor):
        pass

    def shutdown(self):
        pass


class FakeActor:
    def __init__(self, ray, arguments):
        self.ray = ray
        self.ready = SimpleNamespace(remote=lambda: Reference(self.come))
        self.embed = SimpleNamespace(remote=lambda texts: Reference(lambda: self.embedded(texts)))

    def come(self):
        if self.ray.unable:
            raise self.ray.unable
        return True

    def embedded(self, texts):
        if self.ray.failures:
            raise self.ray.failures.pop(0)
        return np.array([[float(text)] for text in texts], dtype=np.float32)


def on_fake(*failures, unable=None):
    ray = Ray()
    ray._ray = FakeRay(*failures, unable=unable)
    calls = [("embed", ([str(number)],)) for number in range(6)]
    with ray:
        return sorted((number, float(block[0, 0])) for number, block in ray.done(LSA(dim=4), calls))


def test_blocks_of_lost_workers_are_given_again_and_faults_of_workers_are_told(caplog):
    every = [(number, float(number)) for number in range(6)]
    assert on_fake() == every
    lost = FakeRay.Lost("The node was lost")
    assert on_fake(lost, lost, lost) == every
    assert "was lost, its block is given to another" in caplog.text
    memory = [FakeRay.Lost("Task was killed due to the node running low on memory.") for _ in range(30)]
    with pytest.raises(ServerError, match=r"a block of .* failed 5 times: Task was killed due to the node running low"):
        on_fake(*memory)
    missing = FakeRay.TaskError(ModuleNotFoundError("No module named 'sentence_transformers'"))
    with pytest.raises(ServerError, match="failed on a worker: No module named 'sentence_transformers'"):
        on_fake(missing)
    told = "The actor died because of an error raised in its creation task\nModuleNotFoundError: No module named 'mine'"
    with pytest.raises(ServerError, match="no worker is left: ModuleNotFoundError: No module named 'mine'"):
        on_fake(unable=FakeRay.Lost(told))
