"""The reference pages of the site, made from the code: components, commands, Python names, errors.

``python docs/site/reference.py DIR`` writes them into a folder.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = ["component_example", "pages"]

_KINDS = {
    "retriever": "Retrievers find candidates: the first step of a pipeline.",
    "stage": "Stages rerank, filter or answer, one after another.",
    "embedder": "Embedders turn texts into vectors.",
    "sparse_embedder": "Sparse embedders turn texts into weights of terms.",
    "index": "Indexes search vectors, exactly or approximately.",
    "fusion": "Fusions combine several lists into one.",
    "scorer": "Scorers judge pairs of query and passage.",
    "chunker": "Chunkers cut documents into passages.",
    "key": "Keys are the texts by which documents are found.",
    "query": "Query encoders change a query before it is searched.",
    "summarizer": "Summarizers write the texts of keys, and answers.",
    "factors": "Factors are the known part of a matrix that CUR completes.",
    "student": "Students learn to encode conversations.",
    "sampler": "Samplers decide which configuration a sweep tries next.",
    "distribution": "Distributions stand in a sweep for a value that is to be tuned.",
    "judge": "Judges say whether answers are faithful and correct.",
    "pipeline": "The pipeline.",
    "sweep": "The sweep.",
    "dataset": "Dataset files describe tables of documents, queries and judgments.",
}
"""A sentence about each kind; others have none."""

_MINILM = {"type": "sentence_transformer", "model": "sentence-transformers/all-MiniLM-L6-v2"}
_EXAMPLES: dict[str, Any] = {
    "retriever": {"type": "bm25"},
    "embedder": _MINILM,
    "sparse_embedder": {"type": "sparse", "model": "naver/splade-v3"},
    "scorer": {"type": "cross_encoder", "model": "cross-encoder/ms-marco-MiniLM-L6-v2"},
    "factors": {"type": "embeddings", "embedder": _MINILM},
    "summarizer": {"type": "chat_model", "model": "openai:gpt-4o-mini"},
    "index": {"type": "flat"},
    "fusion": {"type": "rrf"},
    "key": {"type": "title", "retriever": {"type": "bm25"}},
}
"""An example of each kind, where an argument needs one."""

_OF_TYPES: dict[tuple[str, str], Any] = {
    ("image", "retriever"): {
        "type": "dense",
        "embedder": {"type": "image_text", "model": "sentence-transformers/clip-ViT-B-32"},
    }
}
"""Examples of arguments that take only some components of a kind."""

_VALUES: dict[str, Any] = {
    "model": "owner/model-on-the-hub",
    "path": "FILE",
    "url": "${DATABASE_URL}",
    "uri": "${MILVUS_URI}",
    "table": "passages",
    "collection": "passages",
    "relevant": "answer_in",
    "description": "IVF256,Flat",
    "low": 1,
    "high": 100,
    "choices": ["a", "b"],
    "options": [{"type": "flat"}, {"type": "hnsw"}],
    "of": {"type": "mmr", "embedder": _MINILM},
    "shards": 4,
    "dimensions": 128,
    "pipeline": {"extends": "pipeline.yaml"},
    "corpus": {"path": "documents.jsonl"},
    "queries": {"path": "questions.csv", "relevant": "answer_in"},
}
"""Examples of values by the name of the argument."""

_PYTHON = {
    "rag": "Pipelines",
    "rag.eval": "Measuring",
    "rag.hpo": "Tuning",
    "rag.serving": "Serving",
    "rag.langchain": "LangChain",
}
"""Packages whose public names are listed, with a heading."""


def pages() -> dict[str, str]:
    """Markdown texts by path in the site."""
    return {
        **_component_pages(),
        "reference/commands.md": "\n".join(_commands()),
        "reference/python.md": "\n".join(_python()),
        "reference/errors.md": "\n".join(_errors()),
    }


def schemas() -> dict[str, str]:
    """JSON Schemas by path in the site."""
    from rag.config.schema import json_schema

    return {
        f"reference/{kind}.schema.json": json.dumps(json_schema(kind))
        for kind in ("pipeline", "sweep", "dataset", "judge")
    }


# -- components -------------------------------------------------------------------------------------------------------


def _component_pages() -> dict[str, str]:
    from rag.registry import component_class, kinds, types_of

    made = {"reference/components.md": _components_index(kinds())}
    for kind in kinds():
        lines = [f"# {kind.replace('_', ' ').capitalize()}", "", _KINDS.get(kind, ""), ""]
        classes = [component_class(kind, name) for name in types_of(kind)]
        lines += ["| type | |", "|---|---|"]
        lines += [f"| [`{cls.type}`](#{cls.type}) | {_cell(cls.spec.summary)} |" for cls in classes]
        for cls in classes:
            lines += _component(cls)
        made[f"reference/components/{kind}.md"] = "\n".join(lines) + "\n"
    return made


def _components_index(names: list[str]) -> str:
    lines = ["# Components", "", "Every mapping with a `type` is a component; its other keys are its arguments.", ""]
    lines += [
        f"- [{name}](components/{name}.md): {_KINDS[name]}" if name in _KINDS else f"- [{name}](components/{name}.md)"
        for name in names
    ]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *(f"components/{name}" for name in names), "```", ""])


def _component(cls: Any) -> Iterator[str]:
    from rag.config.schema import component_schema, type_name, yaml_text
    from rag.config.writing import dump

    yield from ("", f"## {cls.type}", "", _markdown(cls.spec.doc), "")
    if component_schema(cls) is None:
        yield from ("It takes a Python object, so files cannot name it.", "")
    else:
        yield from ("```yaml", dump(component_example(cls)).rstrip(), "```", "")
    public = cls.__module__.rsplit(".", 1)
    yield f"In Python: `from {public[0]}.{public[1]} import {cls.__name__}`"
    if not cls.spec.parameters:
        return
    yield from ("", "| argument | type | default | meaning |", "|---|---|---|---|")
    for parameter in cls.spec.parameters.values():
        default = "required" if parameter.required else f"`{yaml_text(parameter.default)}`"
        meaning = _cell(parameter.help) + (" Tuned by `rag tune --auto`." if parameter.tunable else "")
        yield f"| `{parameter.name}` | {_cell(type_name(parameter))} | {_cell(default)} | {meaning} |"


def component_example(cls: Any) -> dict[str, Any]:
    """The smallest mapping that names a component: its type, and the arguments that it requires."""
    example: dict[str, Any] = {"type": cls.type}
    for parameter in cls.spec.parameters.values():
        if parameter.required:
            example[parameter.name] = _OF_TYPES.get((cls.type, parameter.name)) or _value(parameter)
    return example


def _value(parameter: Any) -> Any:
    if parameter.slot is not None and parameter.name not in _VALUES:
        inner = _EXAMPLES.get(parameter.slot.contract.kind, {"type": "..."})
        return [inner, inner] if parameter.slot.container == "list" else inner
    return _VALUES.get(parameter.name, "...")


# -- commands ---------------------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    import typer

    from rag.cli import application

    application._load_commands()
    root = typer.main.get_command(application.app)
    yield from (
        "# Commands",
        "",
        "Exit codes: 0 done; 1 done, but something is missing, or a bug; 2 a mistake in the input; 130 interrupted.",
    )
    yield from _group(root, "rag")


def _group(command: Any, path: str) -> Iterator[str]:
    for name, inner in sorted(command.commands.items()):
        if inner.hidden:
            continue
        full = f"{path} {name}"
        if hasattr(inner, "commands"):
            yield from ("", f"## {full}", "", _markdown(inner.help or ""))
            yield from _group(inner, full)
            continue
        yield from _command(inner, full)


def _command(command: Any, path: str) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [
        parameter for parameter in command.params if parameter.param_type_name == "option" and not parameter.hidden
    ]
    usage = " ".join([path, *(_named_argument(parameter) for parameter in arguments), "[OPTIONS]"])
    yield from ("", f"## {path}", "", _markdown(command.help or ""), "", f"```console\n$ {usage}\n```")
    described = [(_named_argument(parameter), parameter) for parameter in arguments]
    described += [(_named_option(parameter), parameter) for parameter in options]
    if described:
        yield from ("", "| argument, option | meaning | default |", "|---|---|---|")
    for name, parameter in described:
        default = parameter.default if isinstance(parameter.default, (str, int, float)) else None
        shown = "" if default in (None, False, "") or callable(default) else f"`{default}`"
        yield f"| `{_cell(name)}` | {_cell(parameter.help or '')} | {_cell(shown)} |"


def _named_argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper())
    return name if parameter.required else f"[{name}]"


def _named_option(parameter: Any) -> str:
    """An option with the form of its value, such as ``--trial-timeout SECONDS`` or ``--on-error report|stop|skip``."""
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    annotation = parameter.type_descriptor.annotation
    choices = "|".join(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ""
    form = parameter.metavar or choices or {int: "N", float: "NUMBER"}.get(annotation, "TEXT")
    return f"{names} {form}"


# -- Python -----------------------------------------------------------------------------------------------------------


def _python() -> Iterator[str]:
    yield from ("# Python", "", "The public names. Components are described by [kind](components/retriever.md).")
    for module, heading in _PYTHON.items():
        package = importlib.import_module(module)
        yield from ("", f"## {heading}: `{module}`")
        for name in sorted(package.__all__, key=str.lower):
            value = getattr(package, name)
            if _is_component(value) and name != "Pipeline":
                continue
            yield from _named(module, name, value)


def _is_component(value: Any) -> bool:
    return inspect.isclass(value) and bool(getattr(value, "kind", "")) and bool(getattr(value, "type", ""))


def _named(module: str, name: str, value: Any) -> Iterator[str]:
    doc = inspect.getdoc(value) or ""
    yield from ("", f"### {name}", "")
    if callable(value) and not isinstance(value, type(Any)):
        yield from ("```text", f"{module}.{name}{_signature(value)}", "```", "")
    yield _docstring(doc)
    if not inspect.isclass(value):
        return
    for method, member in sorted(_members(value).items()):
        function = getattr(member, "fget", None) or getattr(member, "__func__", None) or getattr(member, "func", member)
        about = inspect.getdoc(function)
        if method.startswith(("_", "model_")) or not about or not callable(function):
            continue
        first = about.split("\n\n")[0]
        call = "" if isinstance(member, property) or hasattr(member, "func") else "()"
        yield from ("", f"- `.{method}{call}`: {_markdown(' '.join(first.split()))}")


def _members(cls: type) -> dict[str, Any]:
    """Members of a class and of its bases in this package."""
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("rag.") and base.__name__ not in ("Component", "Shown"):
            members |= vars(base)
    return members


def _signature(value: Any) -> str:
    """The call with a parameter on each line, without internal module names."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # classes of other languages, protocols
        return ""
    parts = [re.sub(r"<.*>", "...", str(parameter)) for parameter in signature.parameters.values()]
    keyword = inspect.Parameter.KEYWORD_ONLY
    for position, parameter in enumerate(signature.parameters.values()):
        if parameter.kind == keyword:
            parts.insert(position, "*")
            break
    text = ", ".join(parts)
    text = f"({text})" if len(text) < 80 else "(\n    " + ",\n    ".join(parts) + ",\n)"
    returned = signature.return_annotation
    if isinstance(returned, str) and not inspect.isclass(value):
        text += f" -> {returned}"
    return re.sub(r"\b(?:rag|collections\.abc|pathlib)\.(?:[a-z_]+\.)*([A-Z])", r"\1", text)


def _errors() -> Iterator[str]:
    errors = importlib.import_module("rag.errors")
    yield from ("# Errors", "", "All derive from `rag.RagError`; commands print the message and end with exit code 2.")
    for name in errors.__all__:
        value = getattr(errors, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            base = value.__mro__[1].__name__
            yield from ("", f"## {name}", "", f"A `{base}`.", "", _docstring(inspect.getdoc(value) or ""))


# -- texts ------------------------------------------------------------------------------------------------------------


def _docstring(doc: str) -> str:
    """A docstring as Markdown: its sections as lists and code."""
    lines: list[str] = []
    for block in re.split(r"\n(?=(?:Args|Returns|Raises|Example|Attributes|Yields):\n)", doc):
        head, _, body = block.partition("\n")
        if head in ("Args:", "Raises:", "Attributes:"):
            items = re.split(r"\n(?=\S)", inspect.cleandoc(body))
            lines += [f"**{head[:-1]}**", ""]
            for item in items:
                name, _, text = " ".join(item.split()).partition(": ")
                lines.append(f"- `{name}`: {_markdown(text)}" if text else f"- {_markdown(name)}")
            lines.append("")
        elif head in ("Returns:", "Yields:"):
            lines += [f"**{head[:-1]}** {_markdown(' '.join(body.split()))}", ""]
        elif head == "Example:":
            code = re.sub(r"^\.\. code-block:: python\n+", "", inspect.cleandoc(body))
            lines += ["```python", inspect.cleandoc(code), "```", ""]
        else:
            lines += [_markdown(block), ""]
    return "\n".join(lines)


def _markdown(text: str) -> str:
    """A text with roles and double backticks as Markdown; indented examples become code."""
    text = re.sub(r":(?:class|meth|func|mod|attr|data|exc):`~?([^`]+)`", r"`\1`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(
        r"::\n\n((?:    .*\n?|\n)+)", lambda match: f":\n\n```text\n{inspect.cleandoc(match[1])}\n```\n", text
    )


def _cell(text: str) -> str:
    return " ".join(_markdown(text).split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, text in (pages() | schemas()).items():
        target = Path(sys.argv[1]) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
