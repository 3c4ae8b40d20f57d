"""Formats that are texts: Markdown, reStructuredText, AsciiDoc, man pages, notebooks, subtitles."""
