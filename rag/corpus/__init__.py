"""Documents in, passages out: readers, the corpus on disk, and chunkers."""

from rag.corpus.corpus import Corpus
from rag.corpus.passages import Passages
from rag.corpus.readers import read_corpus, read_documents

__all__ = ["Corpus", "Passages", "read_corpus", "read_documents"]
