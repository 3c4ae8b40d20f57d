"""Keys by which documents are found: their text, title, summary, or questions that they answer."""
