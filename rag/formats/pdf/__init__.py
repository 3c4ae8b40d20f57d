"""PDF: text by page in reading order, its headings, and nothing of what stands on every page."""
