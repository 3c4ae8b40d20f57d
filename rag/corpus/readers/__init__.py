"""Reading documents from wherever they are.

================================= ===================================================================================
source                            documents
================================= ===================================================================================
``*.jsonl``, ``*.ndjson``         one JSON object a line
``*.json``                        the objects of an array
``*.csv``, ``*.tsv``              one a row, first line names the columns: see :mod:`rag.corpus.readers.delimited`
any of these with ``.gz``         likewise, unpacked; also with ``.bz2``
``*.parquet``                     one a row
folder with a ``corpus.jsonl``    lines of it: BEIR's layout
folder of texts                   its ``.txt``, ``.md``, ``.markdown`` and ``.rst`` files, none that is hidden; the id
                                  is the relative path
folder of tables                  rows of all parts, such as ``part-0000.jsonl``, or of the shards of a snapshot of the
                                  Hugging Face Hub (of its splits: ``corpus``, ``train``, or the only one)
pattern, such as ``data/*.csv``   of all files that match; ``**`` stands for folders of any depth
list of paths                     of all of them
``hf:NAME[@CONFIG][#SPLIT]``      rows of a dataset on the Hugging Face Hub (split: ``train``, or the only one)
``datasets.Dataset``              its rows
list of ``Document``              as they are
================================= ===================================================================================

Rows have an id (``_id``, ``id``, ``doc_id`` or ``docid``), a text (``text``, ``contents``, ``content`` or ``body``) and
perhaps a ``title``, which is put before the text on a line of its own. A row with the ``turns`` of a conversation needs
no text: theirs is taken, one turn a line. An object under ``metadata``, or a text that is one in JSON, and all other
fields become the document's metadata.

What was not read, is empty or was skipped is in the ``remarks`` of the corpus.
"""

from typing import TYPE_CHECKING

from rag._lazy import lazy_attributes

if TYPE_CHECKING:
    from rag.corpus.readers.delimited import DELIMITED, header_of, other_separator
    from rag.corpus.readers.documents import ID_FIELDS, TEXT_FIELDS, documents_of
    from rag.corpus.readers.lines import iter_lines, read_text
    from rag.corpus.readers.objects import iter_jsonl
    from rag.corpus.readers.reading import OnError, Reading
    from rag.corpus.readers.rows import TABLES, iter_rows, lifted, row_id
    from rag.corpus.readers.sources import corpus_of, read_corpus, read_documents
    from rag.formats.base import format_of

__all__ = [
    "DELIMITED",
    "ID_FIELDS",
    "TABLES",
    "TEXT_FIELDS",
    "OnError",
    "Reading",
    "corpus_of",
    "documents_of",
    "format_of",
    "header_of",
    "iter_jsonl",
    "iter_lines",
    "iter_rows",
    "lifted",
    "other_separator",
    "read_corpus",
    "read_documents",
    "read_text",
    "row_id",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "DELIMITED": "rag.corpus.readers.delimited",
        "header_of": "rag.corpus.readers.delimited",
        "other_separator": "rag.corpus.readers.delimited",
        "ID_FIELDS": "rag.corpus.readers.documents",
        "TEXT_FIELDS": "rag.corpus.readers.documents",
        "documents_of": "rag.corpus.readers.documents",
        "format_of": "rag.formats.base",
        "iter_lines": "rag.corpus.readers.lines",
        "read_text": "rag.corpus.readers.lines",
        "iter_jsonl": "rag.corpus.readers.objects",
        "OnError": "rag.corpus.readers.reading",
        "Reading": "rag.corpus.readers.reading",
        "TABLES": "rag.corpus.readers.rows",
        "iter_rows": "rag.corpus.readers.rows",
        "lifted": "rag.corpus.readers.rows",
        "row_id": "rag.corpus.readers.rows",
        "corpus_of": "rag.corpus.readers.sources",
        "read_corpus": "rag.corpus.readers.sources",
        "read_documents": "rag.corpus.readers.sources",
    },
)
