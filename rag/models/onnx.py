"""Forward passes by ONNX Runtime: exported from a model's own weights, kept, and compared with torch before use."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Floats, Vectors
from rag.errors import MissingExtraError, ModelError, RagError, first_line
from rag.models.bert import BertForward, places_of
from rag.models.onnx_graph import GRAPH_VERSION, INPUTS, bert_graph
from rag.models.precision import has_vnni

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Agreement", "OnnxForward", "has_onnx", "keep_exports_in", "onnx_forward"]

logger = logging.getLogger("rag.models")

_FILE, _WEIGHTS, _ABOUT = "model.onnx", "weights.bin", "about.json"

_EQUAL = 0.9999
"""Least cosine to torch's vectors of an export in float32."""

_NEAR, _ALIKE = 0.95, 0.7
"""Of an export in int8, the least mean cosine, and the least share of texts with the same nearest one."""

_kept_in: dict[str, Any] = {}
"""The store that was fitted with last."""


@dataclass(frozen=True)
class Agreement:
    """How near an export is to torch, on sample texts.

    Args:
        cosine: Mean cosine of the texts' vectors.
        least: The least one.
        neighbors: Share of the texts whose nearest other one is the same.
    """

    cosine: float
    least: float
    neighbors: float

    def __str__(self) -> str:
        return (
            f"cosine to torch {self.cosine:.5f}, at least {self.least:.5f}, same nearest text for {self.neighbors:.0%}"
        )


def has_onnx() -> bool:
    """Whether the packages of the extra ``onnx`` are installed; nothing is imported."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def keep_exports_in(store: Any) -> None:
    """Have exports kept in a store from now on; None leaves it as it is. Without one, they are made in each process."""
    if store is not None:
        _kept_in["store"] = store


def onnx_forward(lean: BertForward, content: str, precision: str) -> OnnxForward:
    """The forward pass of a model by ONNX Runtime; from the store, where it was exported before by the same versions.

    Args:
        lean: The model, by torch.
        content: Identity of its weights.
        precision: ``float32`` or ``int8``.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        ModelError: The model has no such form, or what was exported does not agree with torch.
    """
    if not has_onnx():
        raise MissingExtraError("backend 'onnx'", package="onnxruntime", extra="onnx")
    try:
        return _exported(lean, content, precision)
    except (RagError, OSError):
        raise
    except Exception as error:  # ONNX and its runtime raise many kinds
        raise ModelError(
            f"cannot be exported to ONNX in {precision}: {first_line(error)}: use backend torch"
        ) from error


def _exported(lean: BertForward, content: str, precision: str) -> OnnxForward:
    reduced = precision == "int8" and not has_vnni()

    def make(folder: Path) -> dict[str, float]:
        import onnx

        model = bert_graph(lean.model, precision, reduced=reduced)
        if model is None:
            raise ModelError(f"the activation '{lean.model.config.hidden_act}' has no form in ONNX: use backend torch")
        path = folder / _FILE
        onnx.save(model, str(path), save_as_external_data=True, location=_WEIGHTS, size_threshold=1024)
        agreement = _agreement(lean, OnnxForward(path, lean, None))
        _check(agreement, precision)
        (folder / _ABOUT).write_text(json.dumps(asdict(agreement)), encoding="utf-8")
        return asdict(agreement)

    def load(folder: Path) -> OnnxForward:
        return OnnxForward(folder / _FILE, lean, Agreement(**json.loads((folder / _ABOUT).read_text("utf-8"))))

    store = _kept_in.get("store")
    if store is not None and store.mode == "use" and store.writable:
        made_by = json.dumps([content, precision, reduced, GRAPH_VERSION, version("onnxruntime"), lean.shape])
        key = hashlib.sha256(made_by.encode()).hexdigest()[:32]
        about = f"{lean.shape['class']} in {precision} for ONNX Runtime {version('onnxruntime')}"
        return load(store.artifact("onnx", key, make, description=about))
    with tempfile.TemporaryDirectory(prefix="rag-onnx-", ignore_cleanup_errors=True) as folder:
        make(Path(folder))
        return load(Path(folder))


class OnnxForward:
    """A BERT's last hidden states by ONNX Runtime.

    Args:
        path: The graph; its weights are beside it.
        lean: The same model by torch.
        agreement: What the comparison gave; None before it.
    """

    def __init__(self, path: Path, lean: BertForward, agreement: Agreement | None) -> None:
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch wants the cores in between
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._padding = lean.padding
        self.agreement = agreement

    def hidden(
        self,
        ids: Sequence[Sequence[int]],
        types: Sequence[Sequence[int]] | None,
        precision: str,
        *,
        first: bool = False,
    ) -> Tensor:
        """See :meth:`rag.models.bert.BertForward.hidden`; the precision is that of the export."""
        import torch

        lengths = np.array([len(one) for one in ids])
        total = int(lengths.sum())
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int64, total)
        kinds = np.zeros(total, np.int64)
        if types is not None:
            kinds = np.fromiter(itertools.chain.from_iterable(types), np.int64, total)
        inside = np.arange(int(lengths.max())) < lengths[:, None]
        padded = np.full(inside.shape, total, np.int64)
        padded[inside] = np.arange(total)
        rows = np.cumsum(lengths) - lengths if first else np.arange(total)
        places = places_of(flat, lengths, self._padding)
        given = (flat, kinds, places, padded, np.flatnonzero(inside), inside.astype(np.int32), rows)
        states = self._session.run(None, dict(zip(INPUTS, given, strict=True)))[0]
        return torch.from_numpy(states)


def _agreement(lean: BertForward, other: OnnxForward) -> Agreement:
    """Compare two forward passes on texts of random tokens, of few and of many."""
    rng = np.random.default_rng(0)
    longest = min(lean.longest, 160)
    ids = [rng.integers(0, lean.vocabulary, max(2, longest // part)).tolist() for part in (80, 40, 20, 10, 6, 4, 2, 1)]
    # Parts of the same texts too: their nearest neighbors are known to be near.
    ids += [text[: max(2, len(text) * 3 // 4)] for text in ids]
    if lean.padding is not None:
        ids = [[token if token != lean.padding else token + 1 for token in text] for text in ids]
    first, second = (_means(one.hidden(ids, None, "float32").numpy(), ids) for one in (lean, other))
    cosines = (first * second).sum(axis=1)
    nearest = [np.argmax(one @ one.T - 2 * np.eye(len(ids)), axis=1) for one in (first, second)]
    return Agreement(float(cosines.mean()), float(cosines.min()), float((nearest[0] == nearest[1]).mean()))


def _means(states: Vectors, ids: list[list[int]]) -> Floats:
    lengths = np.array([len(one) for one in ids])
    means = np.add.reduceat(states, np.cumsum(lengths) - lengths, axis=0) / lengths[:, None]
    unit: Floats = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return unit


def _check(agreement: Agreement, precision: str) -> None:
    agrees = agreement.least >= _EQUAL if precision == "float32" else agreement.cosine >= _NEAR
    if not agrees or (precision != "float32" and agreement.neighbors < _ALIKE):
        raise ModelError(f"the ONNX export in {precision} does not agree with torch ({agreement}): use backend torch")
