"""Self-contained HTML pages, and the format of numbers and texts in them."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import cannot_be
from rag.store.writing import replace_file
from rag.text.plain import plain

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["address", "clean", "excerpt", "fine", "number", "percent", "render_page", "score", "seconds", "write_page"]

_EXCERPT = 240
"""Number of characters shown of a passage."""


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
    """Render one HTML file that needs no network.

    Plotly is included if there is a figure. Only it and the scripts of this package may run, by their hashes.

    Args:
        template: Name of a Jinja template of ``package`` that extends ``page.html.j2``.
        view: Values for the template; all of them are escaped.
        package: Package with the templates, in addition to those of this package.
        style: Style sheet beside the template, added to the shared style.
        scripts: Scripts of this package, added to those that sort tables and draw figures.
        figures: Plotly figures by the id of their element; see :mod:`rag.eval.reports.figures`.
        data: JSON-compatible data that the scripts show on demand.
        filters: Additional Jinja filters by name.
    """
    from markupsafe import Markup

    assets = files("rag.eval.reports") / "templates"
    styles = [(assets / "report.css").read_text(encoding="utf-8")]
    if style is not None:
        styles.append((files(package) / "templates" / style).read_text(encoding="utf-8"))
    code = "\n".join((assets / name).read_text(encoding="utf-8") for name in ("tables.js", "plots.js", *scripts))
    if "queries.js" in scripts:  # marks the words of questions as the page of `rag serve` does
        words = (files("rag") / "serving" / "static" / "words.js").read_text(encoding="utf-8")
        code = f"{words.replace('export ', '')}\n{code}"
    hashes, packed = [_sha256(code.encode())], {}
    if figures or data:
        packed["data"] = pack(json.dumps({**(data or {}), "figures": figures or {}}, allow_nan=False).encode())
    if figures:
        packed["plotly"], plotly_hash = plotly()
        hashes.append(plotly_hash)
    environment = _environment(package, tuple((filters or {}).items()))
    # The package's own files are the only text included without escaping.
    return environment.get_template(template).render(
        view,
        style=Markup("\n".join(styles)),  # noqa: S704
        script=Markup(code),  # noqa: S704
        hashes=Markup(" ".join(hashes)),  # noqa: S704
        packed=packed,
    )


@functools.cache
def _environment(package: str, filters: tuple[tuple[str, Callable[..., str]], ...]) -> Environment:
    """Templates of a package, compiled once: that takes ten times as long as rendering a page."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("rag.eval.reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ours = (address, number, score, fine, seconds, percent, excerpt, clean)
    environment.filters |= {filter.__name__: filter for filter in ours} | dict(filters)
    return environment


def _sha256(script: bytes) -> str:
    """The hash by which a page's policy lets a script run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


def write_page(page: str, path: str | Path) -> Path:
    """Write a page to a file, atomically.

    Returns:
        The file's absolute path.

    Raises:
        ArtifactError: The file cannot be written.
    """
    target = Path(path).absolute()
    with cannot_be("written", target):
        replace_file(target, page)
    return target


def pack(data: bytes) -> str:
    """Compress bytes into text that is safe in HTML; ``plots.js`` unpacks it."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


@functools.cache
def plotly() -> tuple[str, str]:
    """Plotly's JavaScript, packed (.7 MB), and its hash: its bundle for Cartesian charts, a third of the whole library,
    which the Python package carries.
    """
    library = (files("rag.eval.reports") / "vendored" / "plotly-cartesian.min.js").read_bytes()
    return pack(library), _sha256(library)


def number(value: float | None) -> str:
    """Format a number: 1234567 as 1,234,567; 12.345 as 12.3; 0.1234 as 0.12."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")


def score(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def fine(value: float | None) -> str:
    """Format with three significant digits, since thresholds may be small."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3g}"


def percent(share: float) -> str:
    """Format 0.123 as 12 %. Only exact values become 0 % or 100 %."""
    if 0 < share < 0.005:
        return "<\u00a01\u00a0%"
    if 0.995 <= share < 1:
        return ">\u00a099\u00a0%"
    return f"{share * 100:.0f}\u00a0%"


def seconds(value: float | None) -> str:
    """Format a duration in a suitable unit, with three digits."""
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


def address(link: object) -> str:
    """The link, if it leads to a page of the web; else nothing: a script, or a path that means nothing elsewhere."""
    text = clean(link or "")
    return text if text.startswith(("https://", "http://")) else ""


def clean(text: object) -> str:
    """Remove characters that HTML forbids or that mislead, as on the terminal."""
    return plain(str(text))


def excerpt(text: str | None, length: int = _EXCERPT) -> str:
    """The beginning of a text, cut at a word boundary."""
    text = " ".join((text or "")[: 4 * length].split())
    if len(text) <= length:
        return clean(text)
    return clean(text[:length].rsplit(" ", 1)[0]) + " …"
