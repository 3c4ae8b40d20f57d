"""Objects that show themselves: a few lines in a terminal, a table or tree in a notebook, a data frame on request."""

from rag.display.frames import Backend, frame
from rag.display.lines import brief, clipped, count
from rag.display.parts import Bar, Interval, Marked, Part, Table, Tree
from rag.display.shown import Shown

__all__ = [
    "Backend",
    "Bar",
    "Interval",
    "Marked",
    "Part",
    "Shown",
    "Table",
    "Tree",
    "brief",
    "clipped",
    "count",
    "frame",
]
