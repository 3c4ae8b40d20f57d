"""Commands of tuning: ``rag tune`` and ``rag recommend``."""
