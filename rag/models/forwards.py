"""Which forward pass runs: by torch, lean or by the library, or by another engine from an exported graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rag.errors import ConfigError, ModelError, RagError, first_line
from rag.models.bert import BertForward
from rag.models.engines import ENGINES, Engine, ExportedForward
from rag.models.exports import exported_forward
from rag.models.precision import Device, Precision, has_vnni, resolve_device, resolved_precision
from rag.models.ran import tell

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Backend", "Body", "Forwards", "check_backend", "computed_in", "environment"]

logger = logging.getLogger("rag.models")

Backend = Literal["auto", "torch", "onnx", "openvino"]
"""``auto`` is the fastest that gives torch's vectors: an engine that is installed, computes in the precision and
agrees, else torch."""

_WORTH_IT = 1 << 13
"""Tokens that are read before ``auto`` exports a model: to export one takes as long as to read about so many."""


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
        self._exports: dict[tuple[str, str], ExportedForward | None] = {}
        self._read = 0

    def of(self, backend: Backend, precision: Precision, tokens: int) -> Body | None:
        """The one to use; None for the library's.

        Args:
            backend: What was asked for.
            precision: What to compute in; ``auto`` is not taken.
            tokens: How many are going to be read.

        Raises:
            ModelError: There is none for this model, or it does not agree with torch.
            MissingExtraError: The engine that was asked for is not installed.
        """
        self._read += tokens
        body: Body | None = self.lean if precision != "float16" else None
        if backend in ENGINES:
            body = self._exported(ENGINES[backend], precision)
        elif backend == "auto" and self.lean is not None and self._may_export(precision):
            body = self._fastest_export(precision) or body
        if body is None and precision == "int8":
            raise self._missing("precision int8")
        self._tell(body, precision)
        return body

    def _may_export(self, precision: Precision) -> bool:
        if self._content is None:
            return False
        assert self.lean is not None
        return precision == "int8" or (self._read >= _WORTH_IT and self.lean.fits_twice)

    def _exported(self, engine: Engine, precision: Precision) -> ExportedForward:
        if self.lean is None or self._content is None:
            raise self._missing(f"backend {engine.name}")
        known = self._exports.get((engine.name, precision))
        if known is None:
            known = exported_forward(self.lean, self._content(), engine, precision)
            self._exports[engine.name, precision] = known
        return known

    def _fastest_export(self, precision: Precision) -> ExportedForward | None:
        """What the first engine makes of the model that is installed and agrees with torch."""
        for engine in _engines(precision):
            if (engine.name, precision) not in self._exports:
                try:
                    self._exported(engine, precision)
                except (RagError, OSError) as error:
                    logger.info("model %s: %s does not compute it: %s", self._name, engine.title, first_line(error))
                    self._exports[engine.name, precision] = None
            export = self._exports[engine.name, precision]
            if export is not None:
                return export
        return None

    def _missing(self, which: str) -> ModelError:
        return ModelError(f"model '{self._name}': {which} is for {_FAMILY}, on a CPU, not for {self._kind}")

    def _tell(self, body: Body | None, precision: Precision) -> None:
        if isinstance(body, ExportedForward):
            words = str(body)
        else:
            words = f"torch ({'sentence-transformers' if body is None else 'lean BERT'}), {precision}"
        tell(self._name, words)


_FAMILY = "models built like BERT (BERT, RoBERTa, XLM-RoBERTa, CamemBERT) with usual heads"


def check_backend(backend: Backend, precision: Precision, device: Device, *, parameter: str = "precision") -> None:
    """Refuse what does not go together, without loading anything.

    Raises:
        ConfigError: The backend does not compute in this precision, or not on this device.
        MissingExtraError: The backend is not installed.
    """
    if backend in ENGINES:
        engine = ENGINES[backend]
        engine.check_installed()
        if precision not in ("auto", *engine.precisions):
            allowed = " or ".join(engine.precisions)
            raise ConfigError(f"must be {allowed} with backend {backend}, got '{precision}'", parameter=parameter)
        if device not in ("auto", "cpu"):
            raise ConfigError(f"must be cpu with backend {backend}, got '{device}'", parameter="device")
    if precision == "float16" and device == "cpu":
        raise ConfigError("float16 is for GPUs; on a CPU use bfloat16 or int8", parameter=parameter)
    if precision == "int8" and device not in ("auto", "cpu"):
        raise ConfigError(f"int8 is for CPUs, got device '{device}'", parameter=parameter)


def computed_in(backend: Backend, precision: Precision, device: Device) -> Precision:
    """What ``auto`` means here: bfloat16 where the processor and the engine have it.

    Raises:
        ConfigError: The precision is not there on the device.
    """
    if precision in ("float16", "int8"):
        check_backend(backend, precision, resolve_device(device).partition(":")[0])
    resolved = resolved_precision(precision, device)
    if precision == "auto" and backend in ENGINES and resolved not in ENGINES[backend].precisions:
        return "float32"
    return resolved


def environment(backend: Backend, precision: Precision, device: Device) -> Any:
    """How numbers come about here, as far as that changes them: the precision, and in int8 who computes."""
    precision = computed_in(backend, precision, device)
    if precision != "int8":
        return precision
    installed = _engines("int8")
    by = installed[0].name if backend == "auto" and installed else "torch" if backend == "auto" else backend
    return ["int8", by, "8 bits" if has_vnni() else "7 bits"]


def _engines(precision: Precision) -> list[Engine]:
    """The engines that are installed and compute in a precision, the fastest first."""
    return [engine for engine in ENGINES.values() if precision in engine.precisions and engine.is_installed]
