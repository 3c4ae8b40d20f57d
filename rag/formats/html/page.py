"""A page: parsed, cleared of navigation and the like, with its metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rag.errors import MissingExtraError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

__all__ = ["about", "body_of", "declared_encoding", "parse"]

_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,100}?encoding=["']([\w.:-]+)""", re.IGNORECASE
)
_HIDDEN = (
    "script, style, noscript, template, iframe, object, embed, svg, canvas, audio, video, dialog, "
    "[hidden], [aria-hidden=true], head"
)
_CONTROLS = "button, input, select, textarea, datalist"
_NAVIGATION = (
    "nav, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=menu], [role=menubar], "
    "[role=toolbar], [role=dialog], .headerlink, .skip-link, .skip-nav, .sr-only, .visually-hidden, .screen-reader-text"
)
_JUNK = frozenset(
    """
    nav navbar nav-bar navigation nav-panel navpanel navheader navfooter nav-links topnav sidenav leftnav
    sidebar side-bar sphinxsidebar sidebar-wrapper left-sidebar right-sidebar breadcrumb breadcrumbs footer
    site-footer page-footer footer-wrapper site-header page-header-nav topbar top-bar menu menubar dropdown-menu
    related related-links related-articles related-posts cookie-banner cookie-notice cookie-consent cookies
    share share-buttons social social-links social-share pagination pager prev-next prevnext page-nav edit-page
    edit-link edit-this-page noprint mw-editsection mw-jump-link printfooter catlinks mw-navigation searchbox
    search-box search-form advert advertisement ads ad-banner newsletter subscribe feedback helpful
    docnav was-this-helpful article-votes copybtn copy-button skiptocontent skip-to-content back-to-top
    """.split()  # noqa: SIM905
)
"""Classes and ids of what stands on every page."""
_BANNERS = frozenset({"banner", "logo", "masthead"})
"""Such of what may as well hold the title: they go where all their words are links, and no heading is in them."""
_HEADED = "h1, h2, h3, h4, h5, h6"
_CONTENTS = "#toc, .toc, .table-of-contents, .tableofcontents, #table-of-contents, .contents_toc, details.toc"
_REMARKS = "aside.footnote, aside.footnote-list, aside.sidebar:has(> p.sidebar-title), [role=note], [role=doc-footnote]"
"""What is called as if it stood beside the text, but belongs to it: footnotes and boxes of Sphinx."""
_MAIN = ("main", "[role=main]", "article", "[itemprop=articleBody]", "#content", "#main-content", "#bodyContent")
_LEAST = 0.3
"""Part of the page's words that an element called main must hold to be believed."""


def parse(text: str) -> LexborHTMLParser:
    """The tree of a page.

    Raises:
        MissingExtraError: There is no parser.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("reading HTML", package="selectolax", extra="documents") from None
    return LexborHTMLParser(text)


def declared_encoding(content: bytes) -> str | None:
    """The encoding that a page says it has."""
    match = _CHARSET.search(content[:4096])
    return (match[1] or match[2]).decode("ascii", "replace") if match else None


def about(tree: LexborHTMLParser) -> dict[str, Any]:
    """Title, language, canonical address, author and date, as far as the page says so."""
    head: dict[str, Any] = {}
    title = tree.css_first("head > title") or tree.css_first("title")
    if title is not None:
        head["title"] = " ".join(title.text().split())
    root = tree.css_first("html")
    language = (root.attributes.get("lang") or root.attributes.get("xml:lang")) if root is not None else None
    if language:
        head["language"] = language.strip().lower()
    for field, attribute, selector in (
        ("url", "href", "link[rel=canonical]"),
        ("url", "content", "meta[property='og:url']"),
        ("author", "content", "meta[name=author]"),
        ("date", "content", "meta[property='article:modified_time']"),
        ("date", "content", "meta[property='article:published_time']"),
        ("date", "content", "meta[name=date]"),
    ):
        node = tree.css_first(selector)
        value = (node.attributes.get(attribute) or "").strip() if node is not None else ""
        if value and field not in head and (field != "url" or re.match(r"https?://", value)):
            head[field] = value
    return {name: value for name, value in head.items() if value}


def body_of(tree: LexborHTMLParser) -> LexborNode | None:
    """The element with the content. What is on every page is taken out of the tree."""
    body = tree.body or tree.root
    if body is None:
        return None
    for node in body.css(f"{_HIDDEN}, {_CONTROLS}"):
        node.decompose()
    whole = _words(body)
    main = next(
        (node for node in map(body.css_first, _MAIN) if node is not None and _words(node) >= _LEAST * whole), body
    )
    if main is not body and (lead := _lead(main)) is not None:
        if main.child is None:
            main = lead
        else:
            main.child.insert_before(lead)
    for node in main.css(_NAVIGATION):
        node.decompose()
    for node in main.css("[class], [id]"):
        names = f"{node.attributes.get('class') or ''} {node.attributes.get('id') or ''}".lower().split()
        if _is_banner(node, names):
            node.decompose()
            continue
        if _JUNK.isdisjoint(names) or node.mem_id == main.mem_id or node.css_matches(_REMARKS):
            continue
        if not _holds_most(node, main):
            node.decompose()
    for node in main.css("header, footer, aside"):
        if node.tag == "footer" or (node.css_first("h1, h2, h3") is None and not node.css_matches(_REMARKS)):
            node.decompose()
    contents = main.css(_CONTENTS)
    if contents and _words(main) - sum(map(_words, contents)) > 40:  # else the page is nothing else
        for node in contents:
            node.decompose()
    return main


def _is_banner(node: LexborNode, names: list[str]) -> bool:
    """Whether an element is no more than links to the site, by its class or id; one called title has pictures, too."""
    named = not _BANNERS.isdisjoint(names) or ("title" in names and node.css_first("img") is not None)
    return named and not node.css_matches(_HEADED) and node.css_first(_HEADED) is None and not _says(node)


def _says(node: LexborNode) -> bool:
    """Whether an element says anything outside of its links."""
    linked = sum(len((link.text() or "").split()) for link in node.css("a"))
    return len((node.text() or "").split()) > linked


def _lead(main: LexborNode) -> LexborNode | None:
    """The element right before the content that has the title, as AsciiDoc writes it: with no link, unlike what stands
    on every page.
    """
    if main.css_first("h1") is not None:
        return None
    before = main.prev
    while before is not None and (before.tag or "").startswith("-"):
        before = before.prev
    if before is None or before.css_first("a[href]") is not None:
        return None
    return before if before.tag == "h1" or before.css_first("h1") is not None else None


def _words(node: LexborNode) -> int:
    return len(node.text(separator=" ").split())


def _holds_most(node: LexborNode, main: LexborNode) -> bool:
    """Whether an element called navigation holds the content, as where the frame of a page is called ``sidebar``."""
    return node.css_first("h1, article, main") is not None and _words(node) > 0.5 * _words(main)
