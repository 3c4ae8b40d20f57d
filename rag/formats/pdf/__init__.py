"""PDF: text by page in reading order, with headings and without repeated headers and footers."""
