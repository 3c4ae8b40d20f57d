"""Web pages: what of them is content, as Markdown."""
