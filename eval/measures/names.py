"""Measures by name: trec_eval's, through ir_measures and in its spelling."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from rag.arguments import refuses_unknown
from rag.errors import ConfigError, Mistakes, did_you_mean, first_line
from rag.eval.datasets.qrels import MOST
from rag.eval.measures.own import computed_here, registry
from rag.eval.measures.values import per_query

__all__ = ["DEFAULT_MEASURES", "parse_measures"]

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@5")

_TRIAL = (
    {
        "q": {"a": 1, "b": 0},
        "none": {"a": 0},
        "missed": {"a": 1},
        "all": {"a": 2, "b": 1},
        "empty": {"a": 1},
        "bare": {},
    },
    {"q": {"a": 2.0, "b": 1.0}, "no": {"a": 1.0}, "all": {"b": 2.0, "a": 1.0}, "empty": {}, "bare": {"a": 1.0}},
)
"""Judgments and a run with all edge cases of a query."""

_OF_SUBTOPICS = {"ERR_IA", "nERR_IA", "alpha_DCG", "alpha_nDCG", "NRBP", "nNRBP", "AP_IA", "P_IA", "StRecall"}
"""Measures of diversity; their judgments need the subtopic of a query that a document is about."""


@refuses_unknown
def parse_measures(names: Sequence[Any]) -> list[Any]:
    """Parse measures by their usual names, such as ``nDCG@10``, ``R@100``, ``RR@10``, ``AP``, ``P@5``, ``AP(rel=2)``;
    measure objects of ir_measures are taken as well.

    Every measure returned can be computed for any query; all others are refused here, before any work.

    Raises:
        ConfigError: A name is unknown, a parameter out of range, or a measure cannot be computed by this installation.
    """
    if not names:
        raise ConfigError("name at least one, such as nDCG@10", parameter="measures")
    measures: list[Any] = []
    mistakes = Mistakes()
    for name in map(str, names):
        try:
            measure = _parsed(name)
        except ConfigError as error:
            mistakes.extend(error.mistakes)
            continue
        try:  # fail now rather than after an hour of searching
            if measure.NAME != "PSP":  # which gets its weights from training judgments later
                per_query([measure], *_TRIAL)
        except Exception as error:  # providers raise what they like
            reason = first_line(error)
            raise ConfigError(f"measure '{name}' cannot be computed here: {reason}", parameter="measures") from None
        if measure not in measures:
            measures.append(measure)
    mistakes.check()
    return measures


def _parsed(name: str) -> Any:
    """Parse one measure, with its parameters in range and a provider that computes it."""
    known = registry()
    try:
        measure = _read(name)
    except (NameError, ValueError, SyntaxError, AssertionError, KeyError, TypeError) as error:
        base = name.partition("@")[0].partition("(")[0]
        why = "write it as nDCG@10 or AP(rel=2)" if isinstance(error, SyntaxError) else error
        hint = did_you_mean(base, known, rest=name[len(base) :]) if base not in known else f": {why}"
        raise ConfigError(f"unknown measure '{name}'{hint}", parameter="measures") from None
    if fault := _fault(measure):
        raise ConfigError(f"measure '{name}': {fault}", parameter="measures")
    whole = {key: float(value) for key, value in measure.params.items() if type(value) is int and _real(measure, key)}
    measure = measure(**whole)
    if computed_here(measure) is None and (reason := _missing(measure)):
        raise ConfigError(f"measure '{name}' cannot be computed here: {reason}", parameter="measures")
    return measure


def _literal(node: ast.AST) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"'{ast.unparse(node)}' must be a number, or a text in quotes") from None


def _read(name: str) -> Any:
    """Read ``nDCG(dcg='exp-log2')@10``. The reader of ir_measures 0.4.3 needs classes that Python 3.14 has no more."""
    import ir_measures

    node: ast.AST = ast.parse(name.strip(), mode="eval").body
    params, at = {}, None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        at, node = _literal(node.right), node.left
    if isinstance(node, ast.Call):
        if node.args:
            raise ValueError("parameters need names, such as rel=2")
        params = {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
        node = node.func
    if not isinstance(node, ast.Name):
        raise ValueError("write a name, such as nDCG@10 or AP(rel=2)")  # noqa: TRY004 - about a text
    kind = ir_measures.measures.registry.get(node.id)
    if kind is None:
        raise NameError(f"measure not found: {node.id}")
    return kind(**params, **({} if at is None else {kind.AT_PARAM: at}))


def _real(measure: Any, key: str) -> bool:
    return measure.SUPPORTED_PARAMS[key].dtype is float


def _fault(measure: Any) -> str:
    """The mistake in the parameters of a measure; empty without one."""
    supported, params = measure.SUPPORTED_PARAMS, measure.params
    for key in params:
        if key not in supported:
            return f"has no parameter '{key}'{did_you_mean(key, supported)}"
    for key, info in supported.items():
        if key not in params:
            if not info.required:
                continue
            example = f"{measure}@{'0.5' if key == 'recall' else '10'}" if key == measure.AT_PARAM else f"{key}=1"
            return f"needs a {key}, such as {example}"
        value, choices = params[key], info.choices
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if key == "cutoff":
            if type(value) is not int or not 1 <= value < 1 << 31:  # else trec_eval would end the process
                return "the cutoff must be a whole number of at least 1"
        elif key == "rel":
            if type(value) is not int or not 1 <= value <= MOST:
                return f"rel must be a whole number from 1 to {MOST}, got {value!r}"
        elif key == "recall":
            if not is_number or not 0 <= value <= 1 or round(value, 2) != value:
                return f"the recall must be from 0 to 1 with at most two decimals, as trec_eval has it, got {value!r}"
        elif key == "p":
            if not is_number or not 0 < value < 1:
                return f"p must be above 0 and below 1, got {value!r}"
        elif key == "gains":
            numbers = isinstance(value, dict) and all(type(part) is int for pair in value.items() for part in pair)
            if not numbers or not all(0 <= gain <= MOST for gain in value.values()):
                return f"gains must be whole numbers by grade, from 0 to {MOST}, got {value!r}"
            if params.get("dcg") == "exp-log2":
                return "gains and dcg='exp-log2' say the same thing in two ways: give one of them"
        elif info.dtype is float:
            if not is_number or value < 0:
                return f"{key} must be a number from 0 on, got {value!r}"
        elif type(value) is not info.dtype:
            return f"{key} must be of type {info.dtype.__name__}, got {value!r}"
        elif isinstance(choices, list) and value not in choices:
            return f"{key} must be one of {', '.join(map(repr, choices))}, got {value!r}"
    return ""


def _missing(measure: Any) -> str:
    """The reason why a measure cannot be computed here; empty when it can."""
    import ir_measures

    if measure.NAME in _OF_SUBTOPICS:
        return "it measures diversity, and judgments here do not say which subtopic a document is about"
    offered = [
        provider
        for provider in ir_measures.DefaultPipeline.providers
        if provider.supports(measure) and provider.NAME != "gdeval"
    ]
    if any(provider.is_available() for provider in offered):
        return ""
    if measure.NAME == "RBP":
        return "it needs the grade from which a document is relevant, such as RBP(rel=1)"
    if offered:
        packages = " or ".join(provider.NAME for provider in offered)
        return f"it needs the package {packages} ({offered[0].install_instructions()})"
    return "nothing in ir_measures computes it with these parameters"
