"""Ranking learned from judged questions, over what retrievers and earlier stages found."""
