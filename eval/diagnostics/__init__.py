"""Diagnostics of a run: where a pipeline loses relevant documents, and which remarks a reader needs."""
