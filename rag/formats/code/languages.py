"""Languages of source code, and how a definition begins in each."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["LANGUAGES", "Language"]


_SLASHES = ("//", "/*", "*")


class Language(NamedTuple):
    """A language: its name in fences, the start of a definition, and how comments begin."""

    name: str
    definition: re.Pattern[str]
    comment: tuple[str, ...]


def _language(name: str, definition: str, *comment: str) -> Language:
    return Language(name, re.compile(definition), comment)


_C = _language(
    "c",
    r"""(?x)^(?: template\s*< | (?:class|struct|enum|union|namespace|interface|trait|impl|mod)\b
    | [\w:<>*&,\[\]~ ]+?\b[\w:~]+\s*\([^;]*$
    | (?:public|private|protected|static|export|abstract|final|async|pub|fn|func|fun|def|sub)\b )""",
    *_SLASHES, "#",
)  # fmt: skip


def _like_c(name: str) -> Language:
    return _C._replace(name=name)


_SCRIPT = _language(
    "javascript",
    r"""(?x)^(?:export\s+)?
    (?: (?:default\s+)?(?:async\s+)?(?:function|class|interface|type|enum|namespace)\b
    | (?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:\(|function|\w+\s*=>) )""",
    *_SLASHES,
    "@",
)

LANGUAGES = {
    ".py": _language("python", r"^(?:async\s+def|def|class|@)", "#", "@"),
    ".pyi": _language("python", r"^(?:async\s+def|def|class|@)", "#", "@"),
    ".js": _SCRIPT,
    ".mjs": _SCRIPT,
    ".jsx": _SCRIPT._replace(name="jsx"),
    ".ts": _SCRIPT._replace(name="typescript"),
    ".tsx": _SCRIPT._replace(name="tsx"),
    ".java": _like_c("java"),
    ".kt": _like_c("kotlin"),
    ".scala": _language(
        "scala",
        r"^(?:\s{0,2})(?:(?:private|protected|final|sealed|abstract|case|implicit|override)\s+)*(?:def|class|object|trait)\b",
        *_SLASHES, "@",
    ),
    ".c": _C,
    ".h": _C,
    ".cc": _like_c("cpp"),
    ".cpp": _like_c("cpp"),
    ".hpp": _like_c("cpp"),
    ".cs": _like_c("csharp"),
    ".go": _language("go", r"^(?:func|type)\b", "//", "/*"),
    ".rs": _language(
        "rust",
        r"^(?:pub(?:\([^)]*\))?\s+)?(?:async\s+)?(?:unsafe\s+)?(?:fn|struct|enum|trait|impl|mod|macro_rules!)",
        "//", "/*", "#[",
    ),
    ".rb": _language("ruby", r"^\s{0,2}(?:def|class|module)\b", "#"),
    ".php": _language(
        "php",
        r"^\s{0,4}(?:(?:abstract|final|public|private|protected|static)\s+)*(?:function|class|interface|trait)\b",
        *_SLASHES, "#",
    ),
    ".swift": _language(
        "swift",
        r"^(?:(?:public|private|internal|open|final|@\w+)\s+)*(?:func|class|struct|enum|protocol|extension)\b",
        *_SLASHES, "@",
    ),
    ".sh": _language("bash", r"^(?:function\s+)?[\w:.-]+\s*\(\)|^function\s+\w+", "#"),
    ".bash": _language("bash", r"^(?:function\s+)?[\w:.-]+\s*\(\)|^function\s+\w+", "#"),
    ".pl": _language("perl", r"^sub\s", "#"),
    ".pm": _language("perl", r"^sub\s", "#"),
    ".lua": _language("lua", r"^(?:local\s+)?function\b", "--"),
    ".r": _language("r", r"^[\w.]+\s*(?:<-|=)\s*function\b", "#"),
    ".jl": _language("julia", r"^(?:function|struct|mutable struct|module|macro)\b|^\w+\(.*\)\s*=", "#"),
    ".sql": _language("sql", r"(?i)^(?:create|alter|insert|select|with|update|delete)\b", "--"),
}  # fmt: skip
"""By suffix."""
