"""Datasets: documents, questions, and judgments of which documents answer them."""
