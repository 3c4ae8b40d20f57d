"""The tests that the plug-in's author would have: run in the plug-in's own process."""

from __future__ import annotations

from rag_parrot import Parrot

from rag.testing import RetrieverConformance


class TestParrot(RetrieverConformance):
    def make(self) -> Parrot:
        return Parrot(top_k=3)

    def queries(self):
        from rag import Query

        return [Query("1", "the cat"), Query("2", "the"), Query("3", "zzyzx")]

    def test_a_corpus_of_one_document(self) -> None:
        """Not for this one: it finds nothing where the query does not stand."""
