"""Engines that compute an exported graph: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import importlib.util
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.candidates import Vectors
from rag.errors import MissingExtraError
from rag.models.bert import BertForward, places_of
from rag.models.onnx_graph import INPUTS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ENGINES", "Engine", "ExportedForward"]


_LONGEST = 1024
"""Tokens of the longest text that goes through an exported graph. Engines write all products of queries and keys down:
12 heads of 8,192 tokens take 3 GiB, where torch computes them piece by piece."""


class ExportedForward(ABC):
    """A BERT's last hidden states from an exported graph; of batches with texts of more than 1,024 tokens by torch.

    Args:
        lean: The same model by torch.
        words: What computes it, for people.
    """

    def __init__(self, lean: BertForward, words: str) -> None:
        self._lean = lean
        self._words = words

    def __str__(self) -> str:
        return self._words

    @abstractmethod
    def _states(self, given: Mapping[str, Any]) -> Vectors:
        """Hidden states of the wanted tokens, float32 [rows, width], from the graph's inputs by their names."""

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

        lengths = np.array([len(text) for text in ids])
        if lengths.max() > _LONGEST:
            return self._lean.hidden(ids, types, precision, first=first)
        total = int(lengths.sum())
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int64, total)
        kinds = np.zeros(total, np.int64)
        if types is not None:
            kinds = np.fromiter(itertools.chain.from_iterable(types), np.int64, total)
        inside = np.arange(int(lengths.max())) < lengths[:, None]
        padded = np.full(inside.shape, total, np.int64)
        padded[inside] = np.arange(total)
        rows = np.cumsum(lengths) - lengths if first else np.arange(total)
        places = places_of(flat, lengths, self._lean.padding)
        given = (flat, kinds, places, padded, np.flatnonzero(inside), inside.astype(np.int32), rows)
        return torch.from_numpy(self._states(dict(zip(INPUTS, given, strict=True))))


class _OnnxRuntime(ExportedForward):
    def __init__(self, path: Path, lean: BertForward, precision: str, words: str) -> None:
        import onnxruntime
        import torch

        super().__init__(lean, words)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch wants the cores in between
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def _states(self, given: Mapping[str, Any]) -> Vectors:
        states: Vectors = self._session.run(None, dict(given))[0]
        return states


class _OpenVino(ExportedForward):
    def __init__(self, path: Path, lean: BertForward, precision: str, words: str) -> None:
        import openvino
        import torch

        super().__init__(lean, words)
        core = openvino.Core()
        options = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several processes would be bound to one core
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        }
        self._request = core.compile_model(core.read_model(path), "CPU", options).create_infer_request()

    def _states(self, given: Mapping[str, Any]) -> Vectors:
        states: Vectors = self._request.infer(dict(given), share_inputs=True)[0].copy()
        return states


@dataclass(frozen=True)
class Engine:
    """An engine for exported graphs.

    Args:
        name: As ``backend`` names it; the extra is called so too.
        title: Its name, for people.
        package: What is imported; writing a graph needs ``onnx`` too.
        precisions: What it computes in.
        forward: Reads a graph: its file, the model by torch, the precision, and what computes it, for people.
    """

    name: str
    title: str
    package: str
    precisions: tuple[str, ...]
    forward: Callable[[Path, BertForward, str, str], ExportedForward]

    @property
    def is_installed(self) -> bool:
        """Whether its packages are there; nothing is imported."""
        return all(importlib.util.find_spec(name) is not None for name in ("onnx", self.package))

    @property
    def version(self) -> str:
        return version(self.package)

    def check_installed(self) -> None:
        """Refuse to go on without it.

        Raises:
            MissingExtraError: It is not installed.
        """
        if not self.is_installed:
            raise MissingExtraError(f"backend '{self.name}'", package=self.package, extra=self.name)


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("onnx", "ONNX Runtime", "onnxruntime", ("float32", "int8"), _OnnxRuntime),
        Engine("openvino", "OpenVINO", "openvino", ("float32", "bfloat16"), _OpenVino),
    )
}
"""By the name of the backend; the first one that computes in a precision is the first that ``auto`` takes."""
