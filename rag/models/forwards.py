"""Which forward pass runs: by torch, lean or by the library, or by ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rag.errors import ConfigError, MissingExtraError, ModelError, RagError, first_line
from rag.models.bert import BertForward
from rag.models.onnx import OnnxForward, has_onnx, onnx_forward
from rag.models.precision import Device, Precision, has_vnni, resolve_device, resolved_precision

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Backend", "Body", "Forwards", "check_backend", "computed_in", "environment", "ran"]

logger = logging.getLogger("rag.models")

Backend = Literal["auto", "torch", "onnx"]
"""``auto`` is the fastest that gives torch's vectors: ONNX Runtime where it is installed and agrees, else torch."""

_WORTH_IT = 1 << 13
"""Tokens that are read before ``auto`` exports a model: to export one takes as long as to read about so many."""

_LARGEST = 1 << 29
"""Bytes of weights up to which ``auto`` exports a model: they are in memory twice then."""

_ran: dict[str, list[str]] = {}


def ran() -> Mapping[str, Sequence[str]]:
    """What the models of this process were computed by, in words, by their names."""
    return {name: tuple(words) for name, words in _ran.items()}


class Body(Protocol):
    """Gives the last hidden states of an encoder."""

    def hidden(
        self,
        ids: Sequence[Sequence[int]],
        types: Sequence[Sequence[int]] | None,
        precision: str,
        *,
        first: bool = False,
    ) -> Tensor:
        """See :meth:`rag.models.bert.BertForward.hidden`."""
        ...


class Forwards:
    """The forward passes that a model has; each is made when it is first wanted.

    Args:
        name: The model, for messages.
        kind: Its class.
        lean: Its lean form, where it has one.
        content: Gives the identity of its weights; None for one that has none, and is never exported.
    """

    def __init__(self, name: str, kind: str, lean: BertForward | None, content: Callable[[], str] | None) -> None:
        self._name, self._kind, self._content = name, kind, content
        self.lean = lean
        self._onnx: dict[str, OnnxForward | None] = {}
        self._read = 0

    def of(self, backend: Backend, precision: Precision, tokens: int) -> Body | None:
        """The one to use; None for the library's.

        Args:
            backend: What was asked for.
            precision: What to compute in; ``auto`` is not taken.
            tokens: How many are going to be read.

        Raises:
            ModelError: There is none for this model, or it does not agree with torch.
            MissingExtraError: ONNX Runtime was asked for, and is not installed.
        """
        self._read += tokens
        body: Body | None = self.lean if precision != "float16" else None
        if backend == "onnx":
            body = self._exported(precision)
        elif backend == "auto" and self.lean is not None and self._may_export(precision):
            body = self._exported_if_equal(precision) or body
        if body is None and precision == "int8":
            raise self._missing("precision int8")
        self._tell(body, precision)
        return body

    def _may_export(self, precision: Precision) -> bool:
        if self._content is None or precision not in ("float32", "int8") or not has_onnx():
            return False
        assert self.lean is not None
        return precision == "int8" or (self._read >= _WORTH_IT and self.lean.bytes <= _LARGEST)

    def _exported(self, precision: Precision) -> OnnxForward:
        if self.lean is None or self._content is None:
            raise self._missing("backend onnx")
        known = self._onnx.get(precision)
        if known is None:
            known = self._onnx[precision] = onnx_forward(self.lean, self._content(), precision)
        return known

    def _exported_if_equal(self, precision: Precision) -> OnnxForward | None:
        if precision not in self._onnx:
            try:
                return self._exported(precision)
            except (RagError, OSError) as error:
                logger.info("model %s: torch computes it: %s", self._name, first_line(error))
                self._onnx[precision] = None
        return self._onnx[precision]

    def _missing(self, which: str) -> ModelError:
        return ModelError(f"model '{self._name}': {which} is for {_FAMILY}, on a CPU, not for {self._kind}")

    def _tell(self, body: Body | None, precision: Precision) -> None:
        if isinstance(body, OnnxForward):
            words = f"ONNX Runtime, {precision} ({body.agreement})"
        else:
            words = f"torch ({'sentence-transformers' if body is None else 'lean BERT'}), {precision}"
        known = _ran.setdefault(self._name, [])
        if words not in known:
            logger.info("model %s: %s", self._name, words)
            known.append(words)


_FAMILY = "models built like BERT (BERT, RoBERTa, XLM-RoBERTa, CamemBERT) with usual heads"


def check_backend(backend: Backend, precision: Precision, device: Device, *, parameter: str = "precision") -> None:
    """Refuse what does not go together, without loading anything.

    Raises:
        ConfigError: The backend does not compute in this precision, or not on this device.
        MissingExtraError: The backend is not installed.
    """
    if backend == "onnx":
        if not has_onnx():
            raise MissingExtraError("backend 'onnx'", package="onnxruntime", extra="onnx")
        if precision in ("bfloat16", "float16"):
            raise ConfigError(f"must be float32 or int8 with backend onnx, got '{precision}'", parameter=parameter)
        if device not in ("auto", "cpu"):
            raise ConfigError(f"must be cpu with backend onnx, got '{device}'", parameter="device")
    if precision == "float16" and device == "cpu":
        raise ConfigError("float16 is for GPUs; on a CPU use bfloat16 or int8", parameter=parameter)
    if precision == "int8" and device not in ("auto", "cpu"):
        raise ConfigError(f"int8 is for CPUs, got device '{device}'", parameter=parameter)


def computed_in(backend: Backend, precision: Precision, device: Device) -> Precision:
    """What ``auto`` means here: bfloat16 where the processor has it, but for ONNX Runtime.

    Raises:
        ConfigError: The precision is not there on the device.
    """
    if precision == "auto" and backend == "onnx":
        return "float32"
    if precision in ("float16", "int8"):
        check_backend(backend, precision, resolve_device(device).partition(":")[0])
    return resolved_precision(precision, device)


def environment(backend: Backend, precision: Precision, device: Device) -> Any:
    """How numbers come about here, as far as that changes them: the precision, and in int8 who computes."""
    precision = computed_in(backend, precision, device)
    if precision != "int8":
        return precision
    by = "onnx" if backend == "onnx" or (backend == "auto" and has_onnx()) else "torch"
    return ["int8", by, "8 bits" if has_vnni() else "7 bits"]
