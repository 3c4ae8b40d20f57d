"""Settings of the site's builder, Sphinx."""

from pathlib import Path

project = "rag-pipelines"
copyright = "the authors, Apache-2.0"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "rag-pipelines"
smartquotes = False  # commands and JSON are copied from texts, too
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_extra_path = [str(Path(__file__).parents[2] / "build" / "pages" / "_extra")]
exclude_patterns = ["_extra"]
templates_path: list[str] = []
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = [
    "misc.highlighting_failure",
    "myst.header",
]  # parts of files in code blocks; pages that begin with a table
nitpicky = True
