"""Components: classes with a typed keyword constructor, from which everything else is derived."""

from rag.component.base import Component, Need, Spec
from rag.component.checks import check_parts, wrong_parts
from rag.component.elsewhere import HoldsElsewhere
from rag.component.live import WrapsObject
from rag.component.parameters import (
    REQUIRED,
    Inherited,
    Later,
    Parameter,
    Pattern,
    Runtime,
    Secret,
    Slot,
    describe_error,
)
from rag.component.tunable import Tunable
from rag.component.values import Expanded, Unexpanded

__all__ = [
    "REQUIRED",
    "Component",
    "Expanded",
    "HoldsElsewhere",
    "Inherited",
    "Later",
    "Need",
    "Parameter",
    "Pattern",
    "Runtime",
    "Secret",
    "Slot",
    "Spec",
    "Tunable",
    "Unexpanded",
    "WrapsObject",
    "check_parts",
    "describe_error",
    "wrong_parts",
]
