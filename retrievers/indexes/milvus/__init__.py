"""Vectors, texts and fields in Milvus: connecting, conditions as its expressions, generations, searching."""
