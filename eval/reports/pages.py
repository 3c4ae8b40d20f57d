"""Pages: one self-contained HTML file each, with how numbers and texts are written in them."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from rag.text.plain import plain

__all__ = ["clean", "excerpt", "fine", "number", "percent", "render_page", "score", "seconds"]

_EXCERPT = 240
"""Characters of a passage that are shown."""


def render_page(
    template: str,
    view: Mapping[str, Any],
    *,
    package: str = "rag.eval.reports",
    style: str | None = None,
    scripts: Sequence[str] = (),
    figures: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    filters: Mapping[str, Callable[..., str]] | None = None,
) -> str:
    """The text of one HTML file that needs no network.

    Plotly is put in where there is a figure to draw, and by their hashes it and our scripts are all that may run.

    Args:
        template: Among ``package``'s templates, in Jinja's language; it extends ``page.html.j2``.
        view: What it shows; all of it is escaped.
        package: Whose templates; ours are there too.
        style: A file of its own beside the template, after the style that all pages share.
        scripts: Files among our templates, after those that sort tables and draw figures.
        figures: Plotly figures by the id of the element they are drawn in; see :mod:`rag.eval.reports.figures`.
        data: What the scripts show when they are asked to, as JSON takes it.
        filters: Jinja filters of its own, by name.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("rag.eval.reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ours = (number, score, fine, seconds, percent, excerpt, clean)
    environment.filters |= {one.__name__: one for one in ours} | dict(filters or {})
    assets = files("rag.eval.reports") / "templates"
    styles = [(assets / "report.css").read_text(encoding="utf-8")]
    if style is not None:
        styles.append((files(package) / "templates" / style).read_text(encoding="utf-8"))
    code = "\n".join((assets / name).read_text(encoding="utf-8") for name in ("tables.js", "plots.js", *scripts))
    runs, packed = [code.encode()], {}
    if figures or data:
        packed["data"] = pack(json.dumps({**(data or {}), "figures": figures or {}}, allow_nan=False).encode())
    if figures:
        packed["plotly"], library = plotly()
        runs.append(library)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in runs)
    # Our own files are the only text that goes in as it is.
    return environment.get_template(template).render(
        view,
        style=Markup("\n".join(styles)),  # noqa: S704
        script=Markup(code),  # noqa: S704
        hashes=Markup(hashes),  # noqa: S704
        packed=packed,
    )


def pack(data: bytes) -> str:
    """Compressed, as text that may stand in HTML; ``plots.js`` unpacks it."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


@functools.cache
def plotly() -> tuple[str, bytes]:
    """Plotly's JavaScript, packed and as it is: 2 and 4.8 MB."""
    library = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    return pack(library), library


def number(value: float | None) -> str:
    """1234567 -> 1,234,567; 12.345 -> 12.3; 0.1234 -> 0.12."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")


def score(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def fine(value: float | None) -> str:
    """Three digits that count: thresholds may be small."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3g}"


def percent(share: float) -> str:
    """0.123 -> 12 %. Never says 0 % or 100 % of what is not."""
    if 0 < share < 0.005:
        return "<\u00a01\u00a0%"
    if 0.995 <= share < 1:
        return ">\u00a099\u00a0%"
    return f"{share * 100:.0f}\u00a0%"


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it, to three digits."""
    if value is None or not math.isfinite(value):
        return "–"
    if value >= 3600:
        hours, minutes = divmod(round(value / 60), 60)
        return f"{hours:,}\u00a0h {minutes}\u00a0min"
    if value >= 60:
        minutes, left = divmod(round(value), 60)
        return f"{minutes}\u00a0min {left}\u00a0s"
    size, unit = (1.0, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
    digits = 0 if value * size >= 100 else 1 if value * size >= 10 else 2
    return f"{value * size:.{digits}f}\u00a0{unit}" if value else "0\u00a0s"


def clean(text: object) -> str:
    """Text without characters that HTML does not allow, or that deceive; the same as on a terminal."""
    return plain(str(text))


def excerpt(text: str | None, length: int = _EXCERPT) -> str:
    """The beginning of a text, cut between words."""
    text = " ".join((text or "")[: 4 * length].split())
    if len(text) <= length:
        return clean(text)
    return clean(text[:length].rsplit(" ", 1)[0]) + " …"
