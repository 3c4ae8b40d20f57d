"""Components: classes with a typed keyword constructor, from which everything else is derived."""

from rag.component.base import Component, Need, Spec
from rag.component.checks import check_parts, wrong_parts
from rag.component.live import WrapsObject
from rag.component.parameters import REQUIRED, Inherited, Parameter, Runtime, Slot, describe_error
from rag.component.tunable import Tunable

__all__ = [
    "REQUIRED",
    "Component",
    "Inherited",
    "Need",
    "Parameter",
    "Runtime",
    "Slot",
    "Spec",
    "Tunable",
    "WrapsObject",
    "check_parts",
    "describe_error",
    "wrong_parts",
]
