"""Datasets: documents, questions, and judgements of which documents answer them."""
