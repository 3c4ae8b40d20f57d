"""The command line ``rag``: one file for each verb or family of verbs.

Options that verbs share are in :mod:`rag.cli.options`, the terminal is reached through :mod:`rag.cli.console` alone.
Importing either does not load the verbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.cli.application import app, main

__all__ = ["app", "main"]

__getattr__, __dir__ = lazy_attributes(__name__, {"app": "rag.cli.application", "main": "rag.cli.application"})
