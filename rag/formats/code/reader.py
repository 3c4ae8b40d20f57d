"""The reader of source code."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rag.formats.base import Converted, File, Reader
from rag.formats.code.languages import LANGUAGES, Language
from rag.formats.decode import decoded
from rag.formats.markdown import fence, heading, joined

__all__ = ["CodeReader"]

_LONGEST = 120
"""Lines of a class beyond which its methods stand for themselves."""
_DEFINITION = re.compile(
    r"function|method|class|struct|enum|trait|impl_|interface|module|namespace|type_(?:declaration|alias|definition)|"
    r"constructor|_definition$|^lexical_declaration$"
)
"""Kinds of nodes that are definitions, in the grammars of all languages."""
_MODULES = {"csharp": "c_sharp", "jsx": "javascript", "tsx": "typescript"}
_WIDEST = 400
"""Characters of a line that may begin a definition: longer ones are written by machines."""


class _Part(NamedTuple):
    start: int
    end: int
    title: str
    level: int


class CodeReader(Reader):
    """Source code: a section for each function or class, with the comment before it and its code as a block.

    Python is parsed. Others are parsed by ``tree-sitter`` where its grammar is installed (extra ``code``), else
    cut where a line at the left edge begins a definition.
    """

    name = "code"
    is_code = True
    libraries = ("tree-sitter",)

    def read(self, file: File) -> Iterator[Converted]:
        text, counts = decoded(file.content, encoding=file.encoding)
        text = text.replace("\r\n", "\n")
        suffix = "." + file.name.lower().rpartition(".")[2]
        language = LANGUAGES.get(suffix) or Language(suffix[1:], re.compile(r"(?!)"), ("#", "//"))
        lines = text.split("\n")
        parts = _parsed_python(text) if language.name == "python" else _by_tree(text, language)
        parts = _by_lines(lines, language) if parts is None else parts
        blocks = [heading(1, file.name)]
        before = 0
        for part in parts:
            if part.start < before:
                continue
            blocks.append(fence("\n".join(lines[before : part.start]), language.name))
            blocks.append(heading(part.level, f"`{part.title}`" if "`" not in part.title else part.title))
            blocks.append(fence("\n".join(lines[part.start : part.end]), language.name))
            before = part.end
        blocks.append(fence("\n".join(lines[before:]), language.name))
        metadata = {"title": file.name, "programming_language": language.name}
        yield Converted(joined(blocks), metadata, counts=counts)


def _parsed_python(text: str) -> list[_Part] | None:
    """Functions and classes of Python; None for text that is not Python of this version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    parts: list[_Part] = []
    lines = text.split("\n")

    def add(nodes: Sequence[ast.stmt], path: str, level: int) -> None:
        for node in nodes:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) - 1
            start = _with_comments(lines, first, ("#",))
            end = node.end_lineno or node.lineno
            if isinstance(node, ast.ClassDef) and end - start > _LONGEST:
                inner = [child for child in node.body if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))]
                stop = min(
                    [min([child.lineno, *(m.lineno for m in child.decorator_list)]) - 1 for child in inner], default=end
                )
                parts.append(_Part(start, stop, f"class {path}{node.name}", level))
                add(node.body, f"{path}{node.name}.", level + 1)
            else:
                kind = "class " if isinstance(node, ast.ClassDef) else ""
                parts.append(_Part(start, end, f"{kind}{path}{node.name}", level))

    add(tree.body, "", 2)
    return parts


def _by_tree(text: str, language: Language) -> list[_Part] | None:
    """Definitions by tree-sitter; None where it, or its grammar of the language, is not installed."""
    parser = _parser(language.name)
    if parser is None:
        return None
    lines = text.split("\n")
    parts = []
    for node in parser.parse(text.encode("utf-8", "surrogatepass")).root_node.children:
        inner = node.child_by_field_name("declaration") or node  # of an export
        if _DEFINITION.search(inner.type):
            first, last = node.start_point[0], node.end_point[0] + 1
            parts.append(_Part(_with_comments(lines, first, language.comment), last, _title_of(lines[first]), 2))
    return parts


@functools.cache
def _parser(name: str) -> Any:
    try:
        from tree_sitter import Language as Grammar
        from tree_sitter import Parser

        module = importlib.import_module(f"tree_sitter_{_MODULES.get(name, name)}")
    except ImportError:
        return None
    make = getattr(module, f"language_{name}", None) or module.language
    try:
        return Parser(Grammar(make()))
    except (ValueError, TypeError):  # a grammar of another generation
        return None


def _by_lines(lines: Sequence[str], language: Language) -> list[_Part]:
    """Parts that begin where a line begins a definition, and end before the next, or where the code is back at the
    left edge behind a closing bracket.
    """
    starts = [
        begin
        for begin, line in enumerate(lines)
        if len(line) <= _WIDEST and language.definition.match(line) and not line.startswith(language.comment)
    ]
    parts: list[_Part] = []
    for index, begin in enumerate(starts):
        start = _with_comments(lines, begin, language.comment)
        if parts and start < parts[-1].end:
            continue
        stop = starts[index + 1] if index + 1 < len(starts) else len(lines)
        stop = max(_with_comments(lines, stop, language.comment), begin + 1) if stop < len(lines) else stop
        closing = (
            n + 1 for n in range(begin, stop) if lines[n][:1] in ("}", ")") or lines[n].rstrip() in ("end", "end;")
        )
        end = next(closing, stop)
        parts.append(_Part(start, end, _title_of(lines[begin]), 2))
    return parts


def _title_of(line: str) -> str:
    return line.strip().rstrip("{:").strip()[:100]


def _with_comments(lines: Sequence[str], first: int, comment: tuple[str, ...]) -> int:
    """Where the comment right before a line begins."""
    while first > 0 and lines[first - 1].strip().startswith(comment):
        first -= 1
    return first
