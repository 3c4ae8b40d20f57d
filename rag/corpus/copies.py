"""Documents that are almost the same text: found, counted, folded into one."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import sha256
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints
from rag.corpus.corpus import Corpus
from rag.remarks import Remark, Remarks
from rag.types import Document

__all__ = ["NEAR", "folded", "note_copies", "originals"]

logger = logging.getLogger("rag.corpus")

NEAR = 0.85
"""Part of all runs of words that two documents must share to be copies."""
_RUN = 5
"""Words in a run."""
_BANDS, _ROWS = 25, 5
"""Bands of a signature and values in each: two documents that share 85 % of their runs agree in a whole band with a
probability of 0.999999, those that share 40 % with 0.23."""
_WORDS = re.compile(r"\w+")
Hashes = npt.NDArray[np.uint64]

_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], np.uint64
)


def originals(texts: Iterable[str]) -> Ints:
    """For each text the position of the first one that it is a copy of, int64 [n]; its own for all others.

    Copies have the same words, case aside, or share :data:`NEAR` of all runs of five words (Jaccard). Candidates are
    found by MinHash signatures of one permutation (Shrivastava and Li, 2014) that agree in a band, and then compared
    exactly. A text without words is not a copy.
    """
    exact: dict[bytes, int] = {}
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    runs: dict[int, Hashes] = {}
    parents: list[int] = []
    for number, text in enumerate(texts):
        parents.append(number)
        words = [word.encode("utf-8", "surrogatepass") for word in _WORDS.findall(text.casefold())]
        if not words:
            continue
        first = exact.setdefault(sha256(b" ".join(words)).digest(), number)
        if first != number:
            parents[number] = parents[first]
            continue
        own = _runs(words)
        rows = _signature(own).reshape(_BANDS, _ROWS)
        keys = [(band, row.tobytes()) for band, row in enumerate(rows)]
        near = {other for key in keys for other in buckets[key]}
        match = next((other for other in sorted(near) if _similarity(own, runs[other]) >= NEAR), None)
        if match is not None:
            parents[number] = match
            continue
        runs[number] = own
        for key in keys:
            buckets[key].append(number)
    return np.asarray(parents, dtype=np.int64)


def note_copies(corpus: Corpus) -> None:
    """Add a remark on documents that are copies of another."""
    first = originals(text for block in corpus.iter_texts() for text in block)
    copies = np.flatnonzero(first != np.arange(len(corpus)))
    if len(copies):
        corpus.remarks.extend([_remark(corpus, copies, first, "--fold-duplicates keeps one of each")])


def folded(corpus: Corpus) -> Corpus:
    """The documents without copies; the first of each has the ids of the others in its metadata, as ``copies``."""
    first = originals(text for block in corpus.iter_texts() for text in block)
    copies = np.flatnonzero(first != np.arange(len(corpus)))
    if not len(copies):
        return corpus
    others: defaultdict[int, list[str]] = defaultdict(list)
    for id, original in zip(corpus.ids(copies), first[copies].tolist(), strict=True):
        others[original].append(id)

    def kept() -> Iterator[Document]:
        for position, document in enumerate(corpus):
            if first[position] == position:
                known = others.get(position)
                metadata = {**document.metadata, "copies": known} if known else document.metadata
                yield Document(document.id, document.text, metadata)

    smaller = Corpus.from_documents(kept())
    said = [remark for remark in corpus.remarks if remark.code != "near_duplicates"]
    smaller.remarks = Remarks([*said, _remark(corpus, copies, first, "they were folded into those")])
    return smaller


def _remark(corpus: Corpus, copies: Ints, first: Ints, then: str) -> Remark:
    names = [f"{a} of {b}" for a, b in zip(corpus.ids(copies[:10]), corpus.ids(first[copies[:10]]), strict=True)]
    message = f"{len(copies)} of {len(corpus)} documents are almost the same as another (such as {names[0]}): {then}"
    logger.warning("%s", message)
    return Remark("near_duplicates", message, len(copies), len(corpus), tuple(names))


def _runs(words: list[bytes]) -> Hashes:
    """Hashes of the runs of words, ascending, each once."""
    hashes = np.fromiter(map(crc32, words), np.uint64, len(words))
    width = min(_RUN, len(words))
    n = len(words) - width + 1
    mixed = np.zeros(n, np.uint64)
    for offset in range(width):
        mixed = (mixed ^ hashes[offset : offset + n]) * _FACTORS[offset]
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)


def _signature(runs: Hashes) -> Hashes:
    """The least hash in each of the parts that the range of hashes is cut into; of empty ones that of the next."""
    n = _BANDS * _ROWS
    bins = (runs >> np.uint64(40)) % np.uint64(n)
    order = np.lexsort((runs, bins))
    filled, start = np.unique(bins[order], return_index=True)
    least = runs[order][start]
    next_filled = np.searchsorted(filled, np.arange(n, dtype=np.uint64)) % len(filled)
    return np.asarray(least[next_filled], dtype=np.uint64)


def _similarity(first: Hashes, second: Hashes) -> float:
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)
