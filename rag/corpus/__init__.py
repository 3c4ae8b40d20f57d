"""Documents in, passages out: readers, the corpus on disk, and chunkers."""

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.corpus.corpus import Corpus
    from rag.corpus.passages import Passages
    from rag.corpus.readers import read_corpus, read_documents

__all__ = ["Corpus", "Passages", "read_corpus", "read_documents"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Corpus": "rag.corpus.corpus",
        "Passages": "rag.corpus.passages",
        "read_corpus": "rag.corpus.readers",
        "read_documents": "rag.corpus.readers",
    },
)
