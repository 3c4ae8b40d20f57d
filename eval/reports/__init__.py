"""Reports of runs and comparisons as HTML, Markdown and LaTeX."""
