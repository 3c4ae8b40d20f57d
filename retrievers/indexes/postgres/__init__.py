"""Vectors and fields in PostgreSQL, by pgvector: connecting, conditions as SQL, generations, searching."""
