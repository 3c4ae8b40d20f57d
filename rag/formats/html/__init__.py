"""Web pages: their content as Markdown."""
