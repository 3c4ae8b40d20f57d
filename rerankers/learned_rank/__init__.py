"""Rank the candidates of retrievers and earlier stages by a model learned from judged questions."""
