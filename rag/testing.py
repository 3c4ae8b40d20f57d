"""Tests that every component must pass, for authors of components: subclass and say how to make one.

::

    from rag.testing import RetrieverConformance

    class TestMine(RetrieverConformance):
        def make(self) -> MyRetriever:
            return MyRetriever(depth=3)

pytest finds the inherited tests. They need the ``test`` extra; this module itself imports no test library.
"""

from __future__ import annotations

import copy
import functools
import json
import pickle
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from rag.batch import QueryBatch
from rag.candidates import PADDING, Candidates
from rag.component import Component
from rag.config import build, dump, read_source
from rag.config.schema import component_schema, json_schema
from rag.config.source import node_from_python
from rag.corpus.chunkers.base import Chunker
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.embedders.base import Embedder, TokenEmbedder
from rag.errors import Mistake, NotFittedError
from rag.fitting import FitContext, UpdateContext, Upstream
from rag.learning.training import Training
from rag.registry import component_class
from rag.stage import Retriever, Stage
from rag.types import Document, Query

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "ChunkerConformance",
    "ComponentConformance",
    "EmbedderConformance",
    "RetrieverConformance",
    "StageConformance",
    "check_candidates",
]

C = TypeVar("C", bound=Component)

HEAVY = frozenset(
    "bm25s datasets faiss pandas pyarrow scipy sentence_transformers sklearn torch transformers".split()  # noqa: SIM905
)
"""Packages that describing a component, and making one, must not import: ``rag --help`` would wait for them."""

DOCUMENTS = (
    Document("cat", "The cat sleeps on the warm stove. Cats like warm places."),
    Document("dog", "A dog barks at the postman.\n\nThe postman runs away from the dog."),
    Document("empty", ""),
    Document("fish", "Fish swim in cold water. Some fish live in warm water, and cats like them all."),
    Document("unicode", "Żółw pływa. 猫は寝る。 Der Hund schläft 🐕‍🦺 warm."),
    Document("twin", "The cat sleeps on the warm stove. Cats like warm places."),
    Document("space", " \n\t "),
    Document("tree", "Trees grow slowly; a cat climbs the tree, a dog waits below the tree. Water makes it grow."),
)
"""Every kind of trouble in a small corpus: empty and blank texts, two alike, characters of several bytes."""

QUERIES = tuple(
    Query(str(number), text)
    for number, text in enumerate(("warm cat", "dog and postman", "fish in cold water", "zzyzx qwrtp", "猫 tree"))
)

_CHILD = """
import json, sys
given = json.load(sys.stdin)
from rag.config import build
from rag.config.source import node_from_python
from rag.registry import component_class
cls = component_class(given["kind"], given["config"]["type"])
def make():
    mistakes = []
    component = build(node_from_python(given["config"]), cls, mistakes=mistakes)
    assert not mistakes, mistakes
    return component
first = make()
opened = []
sys.addaudithook(lambda event, args: opened.append(f"{event} {args[0]}") if event in given["events"] else None)
make()
json.dump({"fingerprint": first.fingerprint, "opened": opened, "heavy": sorted(set(given["heavy"]) & set(sys.modules))},
          sys.stdout)
"""
_EVENTS = ("open", "os.listdir", "os.mkdir", "socket.connect", "subprocess.Popen", "sqlite3.connect")


def _in_a_new_process(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """What making this component in a new interpreter shows."""
    given = {"kind": kind, "config": config, "heavy": sorted(HEAVY), "events": _EVENTS}
    child = subprocess.run(  # noqa: S603 - this interpreter, text of ours
        [sys.executable, "-c", _CHILD],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    return dict(json.loads(child.stdout))


@functools.cache
def _definitions() -> dict[str, Any]:
    return dict(json_schema()["definitions"])


class ComponentConformance:
    """What holds for every component. Subclass it and write :meth:`make`."""

    python_only: ClassVar[bool] = False
    """Set for a component that takes a Python object, which no file can hold."""

    @abstractmethod
    def make(self) -> Component:
        """A new component; called often, and always to the same effect."""
        raise NotImplementedError

    def test_it_is_registered_under_its_kind_and_type(self) -> None:
        cls = type(self.make())
        assert cls.kind, f"{cls.__name__} has no kind: derive it from a contract such as Retriever"
        assert cls.type, f"{cls.__name__} has no type"
        assert component_class(cls.kind, cls.type) is cls

    def test_its_docstring_says_what_it_does(self) -> None:
        cls = type(self.make())
        assert cls.__doc__, f"{cls.__name__} has no docstring"
        assert cls.spec.summary.strip()
        assert cls.spec.summary in " ".join(cls.spec.doc.split())

    def test_its_docstring_explains_every_parameter(self) -> None:
        cls = type(self.make())
        without = [name for name, parameter in cls.spec.parameters.items() if not parameter.help.strip()]
        assert not without, f"{cls.__name__}: its docstring's Args lack {', '.join(without)}"

    def test_arguments_are_kept_as_attributes(self) -> None:
        component = self.make()
        for name, value in component.spec.arguments.items():
            kept = getattr(component, name)
            assert (list(kept) == list(value)) if isinstance(value, (list, tuple)) else (kept is value), name

    def test_two_made_alike_are_equal_and_share_nothing(self) -> None:
        one, other = self.make(), self.make()
        assert one is not other
        assert one.fingerprint == other.fingerprint
        assert repr(one) == repr(other)

    def test_a_clone_is_equal_and_shares_nothing(self) -> None:
        component = self.make()
        clone = component.spec.clone()
        assert type(clone) is type(component)
        assert clone.fingerprint == component.fingerprint
        assert repr(clone) == repr(component)
        assert {id(one) for _, one in component.spec.walk()}.isdisjoint({id(one) for _, one in clone.spec.walk()})

    def test_pickled_and_copied_it_is_equal(self) -> None:
        component = self.make()
        for twin in self.copies(component):
            assert type(twin) is type(component)
            assert twin.spec.arguments.keys() == component.spec.arguments.keys()
            if component.spec.is_serializable:  # a live Python object is no other's equal
                assert twin.fingerprint == component.fingerprint
            assert {id(one) for _, one in component.spec.walk()}.isdisjoint({id(one) for _, one in twin.spec.walk()})

    def copies(self, component: C) -> list[C]:
        """What ``copy.deepcopy`` makes of a component, and ``pickle``; not that where it holds a Python object."""
        pickled = [] if self.python_only else [pickle.loads(pickle.dumps(component))]  # noqa: S301 - made here
        return [copy.deepcopy(component), *pickled]

    def test_its_configuration_builds_it_again(self, tmp_path: Path) -> None:
        if self.python_only:
            return
        component = self.make()
        file = tmp_path / "component.yaml"
        file.write_text(dump(component.spec.to_config()), encoding="utf-8")
        mistakes: list[Mistake] = []
        from_file = read_source(file, mistakes=mistakes)
        for node in (node_from_python(component.spec.to_config()), from_file):
            assert node is not None, mistakes
            again = build(node, type(component), mistakes=mistakes)
            assert again is not None, mistakes
            assert again.spec.to_config() == component.spec.to_config()
            assert again.fingerprint == component.fingerprint
            assert repr(again) == repr(component)

    def test_made_in_a_new_process_it_reads_nothing_and_has_the_same_fingerprint(self) -> None:
        if self.python_only:
            return
        component = self.make()
        seen = _in_a_new_process(component.kind, component.spec.to_config())
        assert seen == {"fingerprint": component.fingerprint, "heavy": [], "opened": []}

    def test_its_schema_is_valid_and_accepts_it(self) -> None:
        from jsonschema import Draft7Validator  # type: ignore[import-untyped]

        component = self.make()
        schema = component_schema(type(component))
        assert (schema is None) == self.python_only
        if schema is not None:
            Draft7Validator.check_schema(schema)
            validator = Draft7Validator({**schema, "definitions": _definitions()})
            assert [error.message for error in validator.iter_errors(component.spec.to_config())] == []
            assert [
                error.validator for error in validator.iter_errors({**component.spec.to_config(), "nO such": 1})
            ] == ["additionalProperties"]

    # -- what the contracts below share -----------------------------------------------------------------------------

    def corpus(self) -> Corpus:
        """Documents to fit on."""
        return Corpus.from_documents(DOCUMENTS)

    def queries(self) -> Sequence[Query]:
        """Questions to ask."""
        return QUERIES

    def training(self) -> Training | None:
        """Judged queries, for a component that learns; none by default."""
        return None

    def passages(self, *, chunked: bool = False) -> Passages:
        """The corpus whole, or in pieces of five words."""
        return _pieces(self.corpus()) if chunked else Passages.whole(self.corpus())

    def fitted(self, passages: Passages) -> Any:
        """A component fitted on passages, as a pipeline does it."""
        component = self.make()
        context = FitContext(passages.corpus, passages, self.training())
        component.prepare(context)
        context.fit(component)
        return component

    def saved_and_loaded(self, component: Component, passages: Passages, folder: Path) -> Any:
        """A new component with the state of a fitted one, through files, as a pipeline does it."""
        again = self.make()
        for path, one in component.spec.walk("root"):
            (folder / path).mkdir(parents=True)
            one.save_state(folder / path)
        again.spec.restore(folder, FitContext(passages.corpus, passages), "root")
        return again


def _pieces(corpus: Corpus, words: int = 5) -> Passages:
    document, start, end = [], [], []
    for position, text in enumerate(corpus.texts()):
        at = 0
        parts = text.split(" ")
        for first in range(0, len(parts), words):
            length = len(" ".join(parts[first : first + words]))
            document.append(position)
            start.append(at)
            end.append(at + length)
            at += length + 1
    owners, starts, ends = (np.asarray(one, dtype=np.int64) for one in (document, start, end))
    return Passages(corpus, owners, starts, ends, {})


def check_candidates(candidates: Candidates, passages: Passages, n_queries: int, top_k: int | None = None) -> None:
    """Assert that a table keeps every promise of :class:`~rag.candidates.Candidates`."""
    positions, scores, speakers = candidates.positions, candidates.scores, candidates.passages
    assert [table.dtype.name for table in (positions, scores, speakers)] == ["int64", "float32", "int64"]
    assert len(candidates) == n_queries
    assert positions.shape == scores.shape == speakers.shape
    assert top_k is None or positions.shape[1] <= top_k
    mask = positions != PADDING
    assert (positions[mask] >= 0).all()
    assert (positions[mask] < len(passages.corpus)).all()
    assert (~mask[:, :-1] <= ~mask[:, 1:]).all(), "padding stands before a candidate"
    assert (speakers[~mask] == PADDING).all()
    assert np.isneginf(scores[~mask]).all()
    assert np.isfinite(scores[mask]).all()
    assert (passages.document[speakers[mask]] == positions[mask]).all(), "a passage of another document"
    for row, score, valid in zip(positions, scores, mask, strict=True):
        found = list(zip((-score[valid]).tolist(), row[valid].tolist(), strict=True))
        assert found == sorted(found), "not best first with ties by position"
        assert len(set(row[valid].tolist())) == len(found), "a document twice"


def _check_same(one: Candidates, other: Candidates) -> None:
    """Equal up to what floating point does to batches of different size."""
    assert one.counts.tolist() == other.counts.tolist()
    for a, b in zip(range(len(one)), range(len(other)), strict=True):
        mine = dict(zip(one.positions[a].tolist(), one.scores[a].tolist(), strict=True))
        theirs = dict(zip(other.positions[b].tolist(), other.scores[b].tolist(), strict=True))
        mine.pop(PADDING, None), theirs.pop(PADDING, None)
        assert sorted(mine) == sorted(theirs)
        np.testing.assert_allclose([mine[key] for key in mine], [theirs[key] for key in mine], rtol=1e-3, atol=1e-4)


def _stacked_rows(tables: Sequence[Candidates]) -> Candidates:
    width = max(table.positions.shape[1] for table in tables)

    def padded(array: Any, fill: float) -> Any:
        return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)

    return Candidates(
        np.concatenate([padded(table.positions, PADDING) for table in tables]),
        np.concatenate([padded(table.scores, -np.inf) for table in tables]),
        np.concatenate([padded(table.passages, PADDING) for table in tables]),
    )


class RetrieverConformance(ComponentConformance):
    """What holds for every retriever."""

    @abstractmethod
    def make(self) -> Retriever:
        raise NotImplementedError

    def test_it_keeps_the_contract_of_candidates(self) -> None:
        for chunked in (False, True):
            passages = self.passages(chunked=chunked)
            found = self.fitted(passages).retrieve(QueryBatch(self.queries()))
            check_candidates(found, passages, len(self.queries()), getattr(self.make(), "top_k", None))
            assert found.counts.sum() > 0

    def test_one_query_at_a_time_finds_the_same(self) -> None:
        passages = self.passages(chunked=True)
        retriever = self.fitted(passages)
        alone = [retriever.retrieve(QueryBatch([query])) for query in self.queries()]
        _check_same(retriever.retrieve(QueryBatch(self.queries())), _stacked_rows(alone))

    def test_it_is_fitted_again_on_other_documents(self) -> None:
        passages, first = self.passages(), self.passages(chunked=True)
        retriever = self.fitted(first)
        retriever.fit(FitContext(passages.corpus, passages, self.training()))
        expected = self.fitted(passages).retrieve(QueryBatch(self.queries()))
        _check_same(retriever.retrieve(QueryBatch(self.queries())), expected)

    def test_saved_and_loaded_it_finds_the_same(self, tmp_path: Path) -> None:
        passages = self.passages(chunked=True)
        retriever = self.fitted(passages)
        again = self.saved_and_loaded(retriever, passages, tmp_path)
        expected, actual = (one.retrieve(QueryBatch(self.queries())) for one in (retriever, again))
        assert expected.positions.tolist() == actual.positions.tolist()
        assert expected.scores.tolist() == actual.scores.tolist()
        assert expected.passages.tolist() == actual.passages.tolist()

    def test_pickled_and_copied_it_finds_the_same(self) -> None:
        retriever = self.fitted(self.passages(chunked=True))
        expected = retriever.retrieve(QueryBatch(self.queries()))
        for twin in self.copies(retriever):
            _check_same(twin.retrieve(QueryBatch(self.queries())), expected)

    def test_brought_up_to_date_it_finds_what_is_there(self) -> None:
        corpus, last = self.corpus(), len(self.corpus()) - 1
        old = _pieces(corpus.rows(np.arange(last)))
        marked = old.with_corpus(old.corpus.with_alive(np.arange(last) > 0))  # the first is deleted, the last is new
        grown = marked.followed_by(_pieces(corpus.rows(np.array([last]))))
        retriever = self.fitted(old)
        for passages, kept in ((grown, np.arange(len(old))), (grown.compacted(), grown.living)):
            assert kept is not None
            context = UpdateContext(passages.corpus, passages, kept=kept)
            retriever.prepare(context)
            context.fit(retriever)
            found = retriever.retrieve(QueryBatch(self.queries()))
            check_candidates(found, passages, len(self.queries()), getattr(self.make(), "top_k", None))
            ids = [passages.corpus.ids(row[row >= 0]) for row in found.positions]
            assert not any(corpus.ids([0])[0] in row for row in ids)
            assert any(corpus.ids([last])[0] in row for row in ids)

    def test_no_queries_find_nothing(self) -> None:
        found = self.fitted(self.passages()).retrieve(QueryBatch([]))
        assert len(found) == 0

    def test_a_corpus_of_one_document(self) -> None:
        passages = Passages.whole(Corpus.from_documents([DOCUMENTS[0]]))
        found = self.fitted(passages).retrieve(QueryBatch(self.queries()[:1]))
        check_candidates(found, passages, 1)
        assert found.positions.tolist() == [[0]]

    def test_asked_before_it_is_fitted_it_says_so(self) -> None:
        try:
            self.make().retrieve(QueryBatch(self.queries()))
        except NotFittedError:
            return
        raise AssertionError("no NotFittedError")


class StageConformance(ComponentConformance):
    """What holds for every stage."""

    @abstractmethod
    def make(self) -> Stage:
        raise NotImplementedError

    def fitted(self, passages: Passages) -> Any:
        """A stage fitted on passages, and on judged training queries when it learns."""
        component = self.make()
        context = FitContext(passages.corpus, passages, self.training())
        context.after(Upstream(lambda batch: self.candidates(passages, len(batch)), None))
        component.prepare(context)
        context.fit(component)
        return component

    def training(self) -> Training:
        """Judged queries to learn from: three documents are relevant to each, whatever it asks."""
        queries = [Query(f"t{number}", QUERIES[number % len(QUERIES)].text) for number in range(30)]
        return Training(queries, {query.id: dict.fromkeys(("cat", "fish", "tree"), 1) for query in queries})

    def candidates(self, passages: Passages, n_queries: int | None = None) -> Candidates:
        """What the stage is given: all documents for the first query, fewer for others, none for the last."""
        n, m = n_queries or len(self.queries()), len(passages.corpus)
        rng = np.random.default_rng(7)
        scores = rng.normal(size=(n, len(passages))).astype(np.float32)
        keys = np.broadcast_to(np.arange(len(passages)), scores.shape)
        keep = np.arange(n)[:, None] * m < rng.integers(1, n * m, size=scores.shape)
        keep[0], keep[-1] = True, False
        owners = np.where(keep, passages.document[keys], PADDING)
        return Candidates.from_scores(owners, scores, keys).best_per_document(m)

    def test_it_keeps_the_contract_of_candidates(self) -> None:
        for chunked in (False, True):
            passages = self.passages(chunked=chunked)
            candidates = self.candidates(passages)
            found = self.fitted(passages).process(QueryBatch(self.queries()), candidates)
            check_candidates(found, passages, len(self.queries()), getattr(self.make(), "top_k", None))
            assert found.counts[0] > 0

    def test_one_query_at_a_time_gives_the_same(self) -> None:
        passages = self.passages(chunked=True)
        stage, candidates = self.fitted(passages), self.candidates(passages)
        alone = []
        for row, query in enumerate(self.queries()):
            only = slice(row, row + 1)
            mine = Candidates(candidates.positions[only], candidates.scores[only], candidates.passages[only])
            alone.append(stage.process(QueryBatch([query]), mine))
        _check_same(stage.process(QueryBatch(self.queries()), candidates), _stacked_rows(alone))

    def test_it_leaves_what_it_is_given_as_it_was(self) -> None:
        passages = self.passages()
        candidates = self.candidates(passages)
        before = [table.copy() for table in (candidates.positions, candidates.scores, candidates.passages)]
        self.fitted(passages).process(QueryBatch(self.queries()), candidates)
        for old, new in zip(before, (candidates.positions, candidates.scores, candidates.passages), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_saved_and_loaded_it_gives_the_same(self, tmp_path: Path) -> None:
        passages = self.passages(chunked=True)
        stage, candidates = self.fitted(passages), self.candidates(passages)
        again = self.saved_and_loaded(stage, passages, tmp_path)
        expected, actual = (one.process(QueryBatch(self.queries()), candidates) for one in (stage, again))
        assert expected.positions.tolist() == actual.positions.tolist()
        assert expected.scores.tolist() == actual.scores.tolist()

    def test_pickled_and_copied_it_gives_the_same(self) -> None:
        passages = self.passages(chunked=True)
        stage, candidates = self.fitted(passages), self.candidates(passages)
        expected = stage.process(QueryBatch(self.queries()), candidates)
        for twin in self.copies(stage):
            _check_same(twin.process(QueryBatch(self.queries()), candidates), expected)

    def test_nothing_in_gives_nothing_out(self) -> None:
        stage = self.fitted(self.passages())
        for batch in (QueryBatch([]), QueryBatch(self.queries())):
            found = stage.process(batch, Candidates.empty(len(batch)))
            assert (len(found), int(found.counts.sum())) == (len(batch), 0)


class EmbedderConformance(ComponentConformance):
    """What holds for every embedder."""

    tolerance: ClassVar[float] = 1e-5
    """How far vectors of one text may lie apart when it is embedded among others."""

    @abstractmethod
    def make(self) -> Embedder:
        raise NotImplementedError

    def test_vectors_have_shape_and_type(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        texts = passages.corpus.texts()
        for given in (texts, texts[:1], []):
            for vectors in (embedder.embed_documents(given), embedder.embed_queries(given)):
                assert vectors.shape == (len(given), embedder.dimension)
                assert vectors.dtype == np.float32
                assert np.isfinite(vectors).all()

    def test_a_text_has_its_vector_wherever_it_stands(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        texts = passages.corpus.texts()
        for embed in (embedder.embed_documents, embedder.embed_queries):
            np.testing.assert_allclose(embed(texts)[::-1], embed(texts[::-1]), atol=self.tolerance)
            np.testing.assert_allclose(embed(texts)[:1], embed(texts[:1]), atol=self.tolerance)

    def test_progress_counts_every_text_once(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        steps: list[int] = []
        texts = passages.corpus.texts() * 5
        with_progress = embedder.embed_documents(texts, advance=steps.append)
        assert sum(steps) == len(texts)
        np.testing.assert_allclose(with_progress, embedder.embed_documents(texts), atol=self.tolerance)

    def test_saved_and_loaded_it_gives_the_same(self, tmp_path: Path) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        again = self.saved_and_loaded(embedder, passages, tmp_path)
        assert embedder.dimension == again.dimension
        texts = passages.corpus.texts()
        np.testing.assert_allclose(embedder.embed_queries(texts), again.embed_queries(texts), atol=self.tolerance)

    def test_pickled_and_copied_it_gives_the_same(self) -> None:
        embedder = self.fitted(self.passages())
        for twin in self.copies(embedder):
            texts = self.passages().corpus.texts()
            np.testing.assert_allclose(twin.embed_queries(texts), embedder.embed_queries(texts), atol=self.tolerance)

    def test_token_vectors_have_shape_and_type(self) -> None:
        passages = self.passages()
        embedder = self.fitted(passages)
        if not isinstance(embedder, TokenEmbedder):
            return
        texts = passages.corpus.texts()
        tokens, whole = embedder.embed_document_tokens(texts)
        np.testing.assert_allclose(whole, embedder.embed_documents(texts), atol=self.tolerance)
        for one in (tokens, embedder.embed_query_tokens(texts)):
            assert one.ends.dtype == np.int64
            assert one.ends[0] == 0
            assert len(one.ends) == len(texts) + 1
            assert (np.diff(one.ends) >= 0).all()
            assert len(one.vectors) == one.ends[-1]
            np.testing.assert_allclose(np.linalg.norm(one.vectors.astype(np.float32), axis=1), 1.0, atol=2e-3)

    def test_its_tokenizer_cuts_nothing_off(self) -> None:
        embedder = self.fitted(self.passages())
        if embedder.has_tokens:
            tokenizer = embedder.tokenizer()
            assert len(tokenizer.encode("word " * 5000).ids) >= 5000
            assert len(tokenizer.encode("word").ids) < 10


class ChunkerConformance(ComponentConformance):
    """What holds for every chunker."""

    @abstractmethod
    def make(self) -> Chunker:
        raise NotImplementedError

    def tokenizer(self) -> Tokenizer | None:
        """What counts tokens when the chunker needs it: whole words by default."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))  # noqa: S106
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return tokenizer if self.make().needs_tokenizer else None

    def test_passages_are_slices_in_order(self) -> None:
        corpus = self.corpus()
        passages = self.make().chunk(corpus, self.tokenizer())
        lengths = np.asarray([len(text) for text in corpus.texts()])
        assert (passages.start >= 0).all()
        assert (passages.start <= passages.end).all()
        assert (passages.end <= lengths[passages.document]).all()
        assert (np.diff(passages.document) >= 0).all()
        same = np.diff(passages.document) == 0
        assert (np.diff(passages.start)[same] >= 0).all()

    def test_every_document_has_a_passage(self) -> None:
        corpus = self.corpus()
        passages = self.make().chunk(corpus, self.tokenizer())
        assert sorted(set(passages.document.tolist())) == list(range(len(corpus)))
        empty = corpus.position("empty")
        assert (passages.document == empty).sum() == 1

    def test_no_word_is_lost(self) -> None:
        corpus = self.corpus()
        passages = self.make().chunk(corpus, self.tokenizer())
        for position, text in enumerate(corpus.texts()):
            covered = np.zeros(len(text), dtype=bool)
            for number in np.flatnonzero(passages.document == position).tolist():
                covered[passages.start[number] : passages.end[number]] = True
            left = "".join(letter for letter, inside in zip(text, covered.tolist(), strict=True) if not inside)
            assert not left.strip(), f"{left!r} of document {position} is in no passage"

    def test_passages_are_the_same_every_time_and_wherever_a_document_stands(self) -> None:
        one = self.make().chunk(Corpus.from_documents(DOCUMENTS), self.tokenizer())
        other = self.make().chunk(Corpus.from_documents(DOCUMENTS[::-1]), self.tokenizer())
        mirrored = len(DOCUMENTS) - 1 - other.document
        expected = sorted(zip(mirrored.tolist(), other.start.tolist(), other.end.tolist(), strict=True))
        assert expected == list(zip(one.document.tolist(), one.start.tolist(), one.end.tolist(), strict=True))

    def test_metadata_belongs_to_passages_and_is_json(self) -> None:
        passages = self.make().chunk(self.corpus(), self.tokenizer())
        assert all(0 <= position < len(passages) for position in passages.metadata)
        for value in passages.metadata.values():
            assert json.loads(json.dumps(dict(value))) == dict(value)
