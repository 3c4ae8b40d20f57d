"""Make datasets from documents alone: a language model writes questions; each has its source document as relevant."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.arguments import refuses_unknown
from rag.batch import QueryBatch
from rag.candidates import Ints
from rag.corpus.chunkers.recursive import RecursiveChunker
from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.costs import Ledger
from rag.errors import ConfigError, DataError
from rag.eval.datasets.base import Dataset, Split
from rag.eval.datasets.duplicates import similar
from rag.eval.datasets.trivial import why_trivial
from rag.pipeline import Pipeline
from rag.progress import Progress, no_progress
from rag.remarks import Remark
from rag.store.store import Store
from rag.summarizer import Source, Summarizer
from rag.types import Query

__all__ = ["Made", "make_dataset"]

_NEAR = 0.8
_HOPELESS = 20
"""Number of passages after which the run stops if the writer has not written a single question."""
_SHOWN = 3
"""Number of dropped questions kept as examples, for each reason."""


@dataclass(frozen=True)
class Made:
    """A dataset of questions written about documents.

    Args:
        dataset: The documents, with the questions as the split ``test``.
        about: Content of ``dataset.json``: questions written, kept and dropped, with reasons.
        costs: Costs and counts of all calls.
    """

    dataset: Dataset
    about: dict[str, Any]
    costs: Ledger = field(default_factory=Ledger)


@dataclass
class _Written:
    """A question, its source, and the reason for dropping it."""

    text: str
    document: str
    start: int
    end: int
    source: str
    reason: str | None = None
    found_again: bool = False
    """Whether the round trip pipeline has found the question's document."""

    @property
    def id(self) -> str:
        name = f"{self.document}\0{self.text}".encode("utf-8", "surrogatepass")
        return f"q-{hashlib.blake2b(name, digest_size=6).hexdigest()}"


@dataclass
class _Work:
    """The state of the run: questions written, and passages asked about."""

    asked: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    written: list[_Written] = field(default_factory=list)

    @property
    def kept(self) -> list[_Written]:
        return [question for question in self.written if question.reason is None]


@refuses_unknown
def make_dataset(
    corpus: Corpus,
    writer: Summarizer,
    *,
    n: int = 200,
    seed: int = 0,
    name: str = "made",
    passage_size: int = 1200,
    least: int = 200,
    most_asked: int | None = None,
    most_copied: float = 0.5,
    round_trip: Pipeline | None = None,
    within: int = 20,
    store: Store | None = None,
    progress: Progress = no_progress,
) -> Made:
    """Have questions written about randomly drawn passages, and keep the useful ones.

    The only document judged relevant is the one with the passage. Other documents may answer the question too; they
    are unjudged and count as misses, for all pipelines alike.

    Dropped are questions that are too short, that mention "the text", that copy a long run of words from the passage,
    near duplicates of another question about the same document, and questions written in the same words for two
    documents (both, since they have no single answer).

    Optionally, a pipeline must find the document again (``round_trip``), as in Promptagator (Dai et al. 2023, with a
    retriever trained on the questions themselves and ``within`` = 1); InPars (Bonifacio et al. 2022) instead keeps the
    questions likeliest by the language model. This is useful for training data. It is off by default, since a test set
    chosen by one retriever favors that retriever and similar ones.

    Passages are drawn in an order that depends only on their texts and the seed, one passage per document before the
    second of any: adding documents leaves the relative order of the others unchanged. With a store, each question is
    cached as soon as it is written; a run that is stopped and restarted pays for nothing twice.

    Args:
        corpus: The documents.
        writer: A summarizer with ``task: questions``, or with a prompt of its own.
        n: Number of questions wanted.
        seed: Seed of the draw.
        name: Name of the dataset.
        passage_size: Longest passage that questions are written for, in characters.
        least: Shorter passages, such as lone headings, are skipped; in characters.
        most_asked: Maximum number of passages to ask about; by default three per question wanted.
        most_copied: Maximum share of a question's words that may be one run of words of the passage (if five or more).
        round_trip: A pipeline that must find the document again.
        within: Number of first results in which it must be.
        store: Cache of the questions written.
        progress: Callback that shows progress.

    Raises:
        ConfigError: The writer has another task.
        DataError: No passage is long enough, or no question is left; the message gives the reasons.
        ModelError: The model cannot be called at all.
    """
    task = writer.spec.arguments.get("task", "questions")
    if task != "questions" and writer.spec.arguments.get("prompt") is None:
        message = f"must be 'questions' of a summarizer that writes questions (or give it a prompt), got '{task}'"
        raise ConfigError(message, parameter="task")
    passages = RecursiveChunker(size=passage_size, unit="characters").chunk(corpus)
    order = _order(passages, seed, least)
    if not len(order):
        raise DataError(f"no passage of the {len(corpus)} documents has {least} characters: nothing to ask about")
    limit = min(len(order), 3 * n if most_asked is None else most_asked)
    if round_trip is not None:
        round_trip.fit(corpus, store=store, progress=progress)
    ledger, work = Ledger(), _Work()
    while len(work.kept) < n and work.asked < limit:
        share = max(len(work.kept) / work.asked, 0.2) if work.asked else 1.0
        count = min(math.ceil((n - len(work.kept)) / share), limit - work.asked)
        with ledger.stage("questions"):
            _ask(work, passages, order[work.asked : work.asked + count], writer, store, ledger, progress)
        if not work.written and work.asked >= min(limit, _HOPELESS):
            break
        _sift(work.written, most_copied)
        if round_trip is not None:
            _find_again(work.kept, corpus, round_trip, within, store)
    if not work.kept:
        raise DataError(_nothing_left(work))
    chosen = work.kept[:n]
    queries = [Query(question.id, question.text, {"passage": [question.start, question.end]}) for question in chosen]
    split = Split(queries, {question.id: {question.document: 1} for question in chosen})
    description = _about(work, chosen, corpus, writer, n, seed, ledger, store, progress)
    remarks = [Remark("made", note) for note in description["notes"]]
    return Made(Dataset(name, corpus, {"test": split}, remarks), description, ledger)


def _order(passages: Passages, seed: int, least: int) -> Ints:
    """Positions of the passages that are long enough: one per document first, ordered by hash."""
    texts = (text for block in passages.iter_texts() for text in block)
    salt = str(seed).encode()
    hashes = np.fromiter(
        (
            int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest())
            for text in texts
        ),
        dtype=np.uint64,
        count=len(passages),
    )
    living = np.arange(len(passages)) if passages.living is None else passages.living
    usable = living[(passages.end - passages.start)[living] >= least]
    usable = usable[np.lexsort((hashes[usable], passages.document[usable]))]
    documents = passages.document[usable]
    firsts = np.flatnonzero(np.diff(documents, prepend=-1))
    turn = np.arange(len(usable)) - np.repeat(firsts, np.diff(firsts, append=len(usable)))
    return np.asarray(usable[np.lexsort((hashes[usable], turn))], dtype=np.int64)


def _ask(
    work: _Work,
    passages: Passages,
    chosen: Ints,
    writer: Summarizer,
    store: Store | None,
    ledger: Ledger,
    progress: Progress,
) -> None:
    documents = passages.corpus.documents(passages.document[chosen])
    sources, places = [], []
    for document, start, end in zip(
        documents, passages.start[chosen].tolist(), passages.end[chosen].tolist(), strict=True
    ):
        title, text = document.metadata.get("title"), document.text[start:end]
        if start and isinstance(title, str) and title:
            text = f"{title}\n{text}"  # the topic of the passage may only be in the title
        sources.append(Source(f"{document.id}#{start}", text))
        places.append((document.id, start, end))
    replies = writer.summarize(
        sources, store=store, ledger=ledger, progress=progress, otherwise="no question is asked about them"
    )
    work.asked += len(sources)
    work.failed |= replies.problems
    for source, (id, start, end), texts in zip(sources, places, replies.texts, strict=True):
        if source.id not in replies.problems:
            work.written += [_Written(" ".join(text.split()), id, start, end, source.text) for text in texts]


def _sift(written: Sequence[_Written], most_copied: float) -> None:
    """Set the reason of each question that is to be dropped."""
    for question in written:
        question.reason = question.reason or why_trivial(question.text, question.source, most_copied=most_copied)
    left = [question for question in written if question.reason in (None, "asked twice", "asked of several documents")]
    for pair in similar([question.text for question in left], near=_NEAR):
        first, second = left[pair.first], left[pair.second]
        if first.document == second.document:
            second.reason = second.reason or "asked twice"
        elif pair.similarity == 1:  # questions that are only similar may ask for different things
            first.reason = second.reason = "asked of several documents"


def _find_again(
    written: Sequence[_Written], corpus: Corpus, pipeline: Pipeline, within: int, store: Store | None
) -> None:
    new = [question for question in written if not question.found_again]
    for question, rank in zip(new, _ranks(new, corpus, pipeline, within, store), strict=True):
        question.found_again = rank is not None
        if rank is None:
            question.reason = f"not found again among the first {within}"


def _ranks(
    written: Sequence[_Written], corpus: Corpus, pipeline: Pipeline, within: int, store: Store | None
) -> list[int | None]:
    """Ranks, from 1, at which a fitted pipeline finds the document of each question; None where it does not."""
    if not written:
        return []
    results = pipeline.run(QueryBatch([Query(question.id, question.text) for question in written], store=store)).head(
        within
    )
    due = np.array([corpus.position(question.document) for question in written], dtype=np.int64)
    hit = results.documents == due[:, None]
    return [int(row.argmax()) + 1 if row.any() else None for row in hit]


def _about(
    work: _Work,
    chosen: Sequence[_Written],
    corpus: Corpus,
    writer: Summarizer,
    n: int,
    seed: int,
    ledger: Ledger,
    store: Store | None,
    progress: Progress,
) -> dict[str, Any]:
    dropped = Counter(question.reason for question in work.written if question.reason is not None)
    examples = {
        reason: [question.text for question in work.written if question.reason == reason][:_SHOWN]
        for reason in sorted(dropped)
    }
    bm25 = Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25", "top_k": 10}})
    bm25.fit(corpus, store=store, progress=progress)
    ranks = _ranks(chosen, corpus, bm25, 10, store)
    first = sum(rank == 1 for rank in ranks) / len(ranks)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none"
    notes = [
        f"questions written by {writer.described}, {len(chosen)} of {len(work.written)} kept (dropped: {why}); each "
        "is judged to be answered by the document it was written for only, so others that answer it count as misses",
        f"BM25 finds that document first for {first:.0%} of the questions: the higher, the more they repeat its words",
    ]
    if len(chosen) < n:
        notes.append(f"{n} questions were requested: {work.asked} passages gave no more")
    if work.failed:
        notes.append(f"nothing was written for {len(work.failed)} passages ({next(iter(work.failed.values()))})")
    total = ledger.total
    return {
        "writer": _config(writer),
        "seed": seed,
        "passages_asked": work.asked,
        "passages_failed": len(work.failed),
        "questions_written": len(work.written),
        "questions_kept": len(chosen),
        "dropped": {reason: dropped[reason] for reason in sorted(dropped)},
        "dropped_examples": examples,
        "bm25_finds_first": first,
        "llm_calls": total.llm_calls,
        "llm_tokens": total.llm_tokens,
        "notes": notes,
    }


def _config(writer: Summarizer) -> Any:
    try:
        return writer.spec.to_config()
    except ConfigError:  # contains a Python object
        return repr(writer)


def _nothing_left(work: _Work) -> str:
    if not work.written:
        why: Iterable[str] = dict.fromkeys(work.failed.values())
        return f"nothing was written for {work.asked} passages: {'; '.join(why)}"
    dropped = Counter(str(question.reason) for question in work.written)
    shown = "; ".join(f"{count} {reason}" for reason, count in dropped.most_common())
    return f"none of the {len(work.written)} questions is of use: {shown}; the first: '{work.written[0].text:.100}'"
