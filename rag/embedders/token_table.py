"""Token vectors of a whole corpus, in fewer bytes: halves, bytes, or residuals of centroids in 4 or 2 bits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rag.candidates import Ints, Vectors
from rag.embedders.base import TokenVectors

__all__ = ["TableStorage", "TokenStorage", "TokenTable", "ends_of", "rows_of"]

TokenStorage = Literal["float16", "int8", "residual4", "residual2"]
"""How a token's vector is kept: 2 bytes a dimension, 1, a half, or a quarter, and a few bytes beside."""

TableStorage = TokenStorage | Literal["centroids"]
"""Or as the number of the nearest centroid alone."""

_BITS = {"residual4": 4, "residual2": 2}
_RESIDUAL = ("codes", "nearest", "centroids", "cuts", "steps")
_ARRAYS = {
    "float16": ("vectors",),
    "int8": ("codes", "scale"),
    "residual4": _RESIDUAL,
    "residual2": _RESIDUAL,
    "centroids": ("nearest", "centroids"),
}
_TRAINED_ON = 256
"""Tokens that each centroid is trained on, and the fewest tokens for each: more centroids would be noise."""


@dataclass(frozen=True)
class TokenTable:
    """Vectors of every token of some passages, one passage after another, in their storage format.

    Args:
        storage: Storage format of the vectors.
        ends: Ends of each passage's tokens, int64 [n + 1]; passage ``i`` has rows ``ends[i]`` to ``ends[i + 1]``.
        arrays: Arrays that the vectors are decoded from, by name; may be mapped from disk.
    """

    storage: TableStorage
    ends: Ints
    arrays: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def encode(cls, tokens: TokenVectors, storage: TableStorage, *, like: TokenTable | None = None) -> TokenTable:
        """Vectors of length 1 in a storage.

        Args:
            tokens: The vectors, float16 or float32.
            storage: How to keep them. Residuals follow PLAID (Santhanam et al. 2022): the nearest of
                ``2 ** floor(log2(16 sqrt(tokens)))`` centroids, at most one for 256 tokens, and in each dimension the
                quantile that the rest lies in.
            like: A table whose centroids are used, so that the two can be joined; None trains new ones.
        """
        vectors = tokens.vectors
        if storage == "float16":
            return cls(storage, tokens.ends, {"vectors": vectors.astype(np.float16, copy=False)})
        full = vectors.astype(np.float32)
        if storage == "int8":
            scale = np.abs(full).max(axis=1, initial=1e-12) / 127
            codes = np.rint(full / scale[:, None]).astype(np.int8)
            return cls(storage, tokens.ends, {"codes": codes, "scale": scale.astype(np.float32)})
        centroids = _centroids(full) if like is None else like.arrays["centroids"]
        nearest = _nearest(full, centroids)
        if storage == "centroids":
            return cls(storage, tokens.ends, {"nearest": nearest.astype(np.int32), "centroids": centroids})
        bits = _BITS[storage]
        if like is None:
            rest = full - centroids[nearest]
            shares = np.arange(1, 2**bits) / 2**bits
            middles = (np.arange(2**bits) + 0.5) / 2**bits
            sample = rest.ravel()[:: max(1, rest.size // 1_000_000)]
            cuts = np.quantile(sample, shares).astype(np.float32) if len(sample) else np.zeros(len(shares), np.float32)
            steps = (
                np.quantile(sample, middles).astype(np.float32) if len(sample) else np.zeros(len(middles), np.float32)
            )
        else:
            cuts, steps = like.arrays["cuts"], like.arrays["steps"]
            rest = full - centroids[nearest]
        codes = _packed(np.searchsorted(cuts, rest).astype(np.uint8), bits)
        arrays: dict[str, npt.NDArray[Any]] = {"codes": codes, "nearest": nearest.astype(np.int32)}
        return cls(storage, tokens.ends, arrays | {"centroids": centroids, "cuts": cuts, "steps": steps})

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        if "centroids" in self.arrays:
            return int(self.arrays["centroids"].shape[1])
        return int(next(iter(self.arrays.values())).shape[1])

    @property
    def bytes(self) -> int:
        """Size in memory or on disk."""
        return self.ends.nbytes + sum(array.nbytes for array in self.arrays.values())

    def vectors(self, rows: slice | Ints) -> Vectors:
        """Vectors of these tokens, float32 [m, d], of length 1 but for rounding."""
        if self.storage == "float16":
            return _widened(np.asarray(self.arrays["vectors"][rows]))
        if self.storage == "centroids":
            return np.asarray(self.arrays["centroids"][np.asarray(self.arrays["nearest"][rows])])
        codes = np.asarray(self.arrays["codes"][rows])
        if self.storage == "int8":
            scaled: Vectors = codes.astype(np.float32) * np.asarray(self.arrays["scale"][rows])[:, None]
            return scaled
        rest = _looked_up(self.arrays["steps"], codes, _BITS[self.storage])[:, : self.dimension]
        vectors: Vectors = self.arrays["centroids"][np.asarray(self.arrays["nearest"][rows])] + rest
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def take(self, passages: Ints) -> TokenTable:
        """The tokens of some passages, in this order."""
        ends, rows = rows_of(self.ends, passages)
        return TokenTable(self.storage, ends, {name: self._part(name, rows) for name in self.arrays})

    def joined(self, other: TokenTable) -> TokenTable:
        """Followed by the tokens of another table, which was encoded ``like`` this one."""
        arrays = {
            name: array if self._is_shared(name) else np.concatenate([array, other.arrays[name]])
            for name, array in self.arrays.items()
        }
        return TokenTable(self.storage, np.concatenate([self.ends, self.ends[-1] + other.ends[1:]]), arrays)

    def _part(self, name: str, rows: Ints) -> npt.NDArray[Any]:
        return self.arrays[name] if self._is_shared(name) else np.asarray(self.arrays[name][rows])

    @staticmethod
    def _is_shared(name: str) -> bool:
        return name in {"centroids", "cuts", "steps"}

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder, one file each."""
        np.save(folder / "ends.npy", self.ends)
        for name, array in self.arrays.items():
            np.save(folder / _file(name), array)

    @classmethod
    def load(cls, folder: Path, storage: TableStorage) -> TokenTable:
        """Map the arrays that :meth:`save` wrote; the small ones are read."""
        arrays = {name: np.load(folder / _file(name), mmap_mode="r") for name in _ARRAYS[storage]}
        arrays |= {name: np.array(array) for name, array in arrays.items() if cls._is_shared(name)}
        return cls(storage, np.load(folder / "ends.npy"), arrays)


def _file(name: str) -> str:
    return "tokens.npy" if name == "vectors" else f"token_{name}.npy"


def ends_of(lengths: Ints) -> Ints:
    """Ends of lists that lie one after another, int64 [n + 1]; list ``i`` has rows ``ends[i]`` to ``ends[i + 1]``."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def rows_of(ends: Ints, passages: Ints) -> tuple[Ints, Ints]:
    """Tokens of some passages: where each passage's end, int64 [m + 1], and their rows in the table, int64."""
    lengths = np.diff(ends)[passages]
    new = ends_of(lengths)
    rows = np.repeat(ends[passages] - new[:-1], lengths) + np.arange(new[-1])
    return new, rows


def _widened(halves: npt.NDArray[np.float16]) -> Vectors:
    """The same numbers as float32. torch, where an encoder has loaded it, takes a sixth of numpy's time."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return halves.astype(np.float32)
    own = halves if halves.flags.writeable else halves.copy()  # torch warns of arrays that it may not write
    widened: Vectors = torch.from_numpy(own).float().numpy()
    return widened


def _centroids(vectors: Vectors) -> Vectors:
    """K-means centers of unit vectors; seeded."""
    import faiss

    n = len(vectors)
    if not n:
        return np.zeros((1, vectors.shape[1]), dtype=np.float32)
    k = max(1, min(2 ** int(np.log2(16 * np.sqrt(n))), n // _TRAINED_ON))
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        k,
        niter=4,
        seed=42,
        spherical=True,
        max_points_per_centroid=_TRAINED_ON,
        min_points_per_centroid=1,
    )
    kmeans.train(np.ascontiguousarray(vectors))
    return np.asarray(kmeans.centroids, dtype=np.float32).reshape(k, -1)


def _nearest(vectors: Vectors, centroids: Vectors) -> Ints:
    nearest = np.empty(len(vectors), dtype=np.int64)
    step = max(1, (1 << 24) // len(centroids))
    for first in range(0, len(vectors), step):
        nearest[first : first + step] = (vectors[first : first + step] @ centroids.T).argmax(axis=1)
    return nearest


def _packed(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Codes of ``bits`` bits side by side in bytes, [n, ceil(d * bits / 8)]."""
    each = 8 // bits
    wide = np.pad(codes, ((0, 0), (0, -codes.shape[1] % each))).reshape(len(codes), -(-codes.shape[1] // each), each)
    packed: npt.NDArray[np.uint8] = np.bitwise_or.reduce(wide << (np.arange(each, dtype=np.uint8) * bits), axis=2)
    return packed


def _looked_up(steps: Vectors, packed: npt.NDArray[np.uint8], bits: int) -> Vectors:
    """Values of packed codes, float32 [n, d or some more]: those of a byte at once, in a tenth of the time."""
    each = 8 // bits
    codes = np.arange(256, dtype=np.uint8)[:, None] >> (np.arange(each, dtype=np.uint8) * bits) & np.uint8(2**bits - 1)
    together: Any = steps[codes].view(f"c{4 * each}")[:, 0]  # complex, for numpy to move them as one
    values: Vectors = together.take(packed).view(np.float32)
    return values
