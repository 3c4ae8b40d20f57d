"""A tree of HTML as blocks of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.formats.html.tables import data_rows, is_layout
from rag.formats.markdown import code_span, fence, heading, item, joined, paragraph, quote, table

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

__all__ = ["Blocks"]

_DEEPEST = 150
"""Elements inside of each other, after which only words are taken: Python's own stack is what ends."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE = frozenset(
    """
    a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd label mark math meter output
    picture q rp rt ruby s samp small span strike strong sub sup time tt u var wbr progress nobr
    """.split()  # noqa: SIM905
)
_CODE = frozenset(["code", "kbd", "samp", "tt"])
_SKIPPED = frozenset(
    """
    script style noscript template head title meta link base iframe object embed svg canvas audio video button
    input select textarea datalist source track param area map colgroup col rp
    """.split()  # noqa: SIM905
)
_BLOCKS = (
    "p, div, ul, ol, dl, table, pre, blockquote, section, article, h1, h2, h3, h4, h5, h6, li, figure, details, "
    "header, footer, aside, main, center, form, fieldset, address, hr"
)
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight|brush|sourceCode|src|code)[-: ]{1,2}([a-z][\w+#]*)", re.IGNORECASE
)
_LANGUAGES = {
    "python3": "python",
    "pycon": "python",
    "default": "",
    "none": "",
    "text": "",
    "plaintext": "",
    "source": "",
}
_SPACES = re.compile(r"[ \t\r\n\f\u00a0]+")
_NOT_MARKS = re.compile("[\u00b6\uf0c1\U0001f517]$")


class Blocks:
    """Writes elements as blocks of Markdown."""

    def __init__(self) -> None:
        self.n_deep = 0
        """Elements too deep for their structure to be read."""

    def of(self, node: LexborNode, depth: int = 0) -> list[str]:
        """The blocks in an element, in order."""
        blocks: list[str] = []
        run: list[str] = []

        def flush() -> None:
            if text := paragraph("".join(run)):
                blocks.append(text)
            run.clear()

        child = node.child
        while child is not None:
            tag = child.tag
            if tag == "-text":
                run.append(_SPACES.sub(" ", child.text_content or ""))
            elif tag is None or tag in _SKIPPED or tag.startswith(("-", "!", "_")):
                pass
            elif tag in _INLINE and child.css_first(_BLOCKS) is None:
                run.append(self.inline(child, depth + 1))
            else:
                flush()
                blocks += self._block(child, tag, depth + 1)
            child = child.next
        flush()
        return blocks

    def inline(self, node: LexborNode, depth: int = 0) -> str:
        """The text of an element inside of a line; ``br`` is a line end."""
        tag = node.tag
        if tag == "-text":
            return _SPACES.sub(" ", node.text_content or "")
        if tag == "br":
            return "\n"
        if tag == "img":
            return node.attributes.get("alt") or ""
        if tag is None or tag in _SKIPPED or tag[0] in "-!_":
            return ""
        if depth > _DEEPEST:
            self.n_deep += 1
            return node.text()
        if tag == "math" and node.attributes.get("alttext"):
            return str(node.attributes["alttext"])
        parts = []
        child = node.child
        while child is not None:
            if child.tag == "-text":
                parts.append(_SPACES.sub(" ", child.text_content or ""))
            else:
                parts.append(self.inline(child, depth + 1))
            child = child.next
        text = "".join(parts)
        return code_span(text) if tag in _CODE and "`" not in text and "\n" not in text else text

    def _block(self, node: LexborNode, tag: str, depth: int) -> list[str]:
        if depth > _DEEPEST:
            self.n_deep += 1
            return [text] if (text := paragraph(node.text(separator=" "))) else []
        if tag in _HEADINGS:
            title = self.inline(node, depth).replace("\n", " ").strip()
            return [text] if (text := heading(_HEADINGS[tag], _NOT_MARKS.sub("", title))) else []
        if tag == "pre":
            return [text] if (text := fence(_code_of(node), _language_of(node))) else []
        if tag in ("ul", "ol", "menu", "dir"):
            return self._list(node, tag == "ol", depth)
        if tag == "dl":
            return self._definitions(node, depth)
        if tag == "table":
            return self._table(node, depth)
        if tag == "blockquote":
            return [text] if (text := quote(self.of(node, depth))) else []
        if tag == "hr":
            return []
        return self.of(node, depth)

    def _list(self, node: LexborNode, numbered: bool, depth: int) -> list[str]:
        start = node.attributes.get("start") or "1"
        next_number = int(start) if start.isdecimal() and len(start) < 9 else 1
        items: list[str] = []
        child = node.child
        while child is not None:
            if child.tag not in ("-text", "-comment", *_SKIPPED):
                # A list that stands in a list without an item of its own belongs to the item before.
                blocks = (
                    self.of(child, depth + 1) if child.tag == "li" else self._block(child, child.tag or "", depth + 1)
                )
                if child.tag in ("ul", "ol") and items:
                    items[-1] += "\n" + "\n".join(f"  {line}" if line else "" for line in joined(blocks).split("\n"))
                elif text := item(f"{next_number}." if numbered else "-", blocks):
                    items.append(text)
                    next_number += 1
            child = child.next
        loose = any("\n\n" in text for text in items)
        return [("\n\n" if loose else "\n").join(items)] if items else []

    def _definitions(self, node: LexborNode, depth: int) -> list[str]:
        """Write a definition list: each term on its own line, right before its definition."""
        blocks: list[str] = []
        terms: list[str] = []
        child = node.child
        while child is not None:
            if child.tag == "dt":
                terms += [joined(self.of(child, depth + 1))]
            elif child.tag in ("dd", "div"):
                first, *rest = (
                    self.of(child, depth + 1) if child.tag == "dd" else self._definitions(child, depth + 1)
                ) or [""]
                term = "\n".join(terms)
                opens = re.match(r"[#>|`]|[-+*] |\d+[.)] ", first) is not None
                blocks += [term, first] if opens else ["\n".join(part for part in (term, first) if part)]
                blocks += rest
                terms = []
            child = child.next
        return [block for block in [*blocks, "\n".join(terms)] if block.strip()]

    def _table(self, node: LexborNode, depth: int) -> list[str]:
        code = node.css_first("td.code pre, td.rouge-code pre, td.gutter + td pre")
        if code is not None:  # numbered lines of code
            return [text] if (text := fence(_code_of(code), _language_of(code))) else []
        if is_layout(node):
            return [
                block
                for cell in node.css("caption, td, th")
                if cell.parent is None or _table_of(cell) == node.mem_id
                for block in self.of(cell, depth + 1)
            ]
        caption = node.css_first("caption")
        blocks = [] if caption is None or _table_of(caption) != node.mem_id else self.of(caption, depth + 1)
        rows = data_rows(node, lambda cell: self._cell(cell, depth + 1))
        return [*blocks, text] if (text := table(rows)) else blocks

    def _cell(self, node: LexborNode, depth: int) -> str:
        """Content of a cell in a single line: paragraphs and items separated by spaces, cells of inner tables by
        commas.
        """
        if node.css_first(_BLOCKS) is None:
            return self.inline(node, depth).replace("\n", " ")
        parts = []
        for block in self.of(node, depth):
            lines = [line for line in block.split("\n") if not re.fullmatch(r"\|( --- \|)+|`{3,}\w*", line)]
            parts += [
                re.sub(r"^\| | \|$", "", line).replace(" | ", ", ") if line.startswith("| ") else line for line in lines
            ]
        return " ".join(re.sub(r"^\s*(?:[-*] |\\(?=[#>|<*+-]))", "", part) for part in parts)


def _table_of(node: LexborNode) -> int | None:
    parent = node.parent
    while parent is not None and parent.tag != "table":
        parent = parent.parent
    return None if parent is None else parent.mem_id


def _code_of(node: LexborNode) -> str:
    for line_end in node.css("br"):
        line_end.replace_with("\n")
    for gutter in node.css(".linenos, .lineno, .line-number, .gutter"):
        gutter.decompose()
    return node.text()


def _language_of(node: LexborNode) -> str:
    """The language that classes of a code block, what is in it, or what is around it name."""
    inner = node.css_first("code")
    around = node.parent
    outer = around.parent if around is not None else None
    for element in (inner, node, around, outer):
        attributes = {} if element is None or element.tag in ("body", "-document") else element.attributes
        named = attributes.get("data-lang") or attributes.get("data-language") or attributes.get("lang")
        match = _LANGUAGE.search(attributes.get("class") or "")
        name = (named or (match[1] if match else "")).lower()
        if name and (match or (element is not None and element.tag in ("pre", "code"))):
            return _LANGUAGES.get(name, name) if re.fullmatch(r"[\w+#.-]{1,20}", name) else ""
    return ""
