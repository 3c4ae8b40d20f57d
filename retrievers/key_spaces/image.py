"""Keys that are images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rag.component import Runtime
from rag.embedders.image_text import ImageText, image_key
from rag.errors import ConfigError, DataError
from rag.fitting import FitContext
from rag.queries.base import QueryEncoder
from rag.queries.identity import IdentityQuery
from rag.retrievers.key_spaces.base import Key, Pooling
from rag.stage import Retriever
from rag.summarizer import Source

__all__ = ["ImageKey"]


class ImageKey(Key):
    """The images that a document's metadata names, one path or a list of them. Documents without an image are not found
    by it; beside a key ``text`` with the same embedder, scores are averaged by the kinds' weights.

    Args:
        retriever: Retriever over the images, such as ``dense`` with the embedder ``image_text``. Its ``top_k`` counts
            documents.
        field: Field of the metadata that names the images.
        folder: Folder that relative paths start from; None takes the current one.
        query: Query encoder.
        pooling: How several images of a document give its score.
        temperature: Temperature of ``log_sum_exp``, in units of the score.
        weight: Weight of this kind relative to the others.
    """

    type = "image"

    def __init__(
        self,
        *,
        retriever: Retriever,
        field: str = "image",
        folder: Annotated[str | None, Runtime()] = None,
        query: QueryEncoder = IdentityQuery(),  # noqa: B008 - a default component is cloned for each instance
        pooling: Pooling = "max",
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        weight: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(retriever=retriever, query=query, pooling=pooling, temperature=temperature, weight=weight)
        self.field = field
        self.folder = folder
        if not any(isinstance(part, ImageText) for _, part in retriever.spec.walk()):
            raise ConfigError(
                f"{retriever.spec.label} has no embedder of images: use dense with the embedder image_text",
                parameter="retriever",
            )

    def texts(self, context: FitContext, sources: Callable[[], list[Source]]) -> list[Sequence[str]] | None:
        alive = context.corpus.alive
        return [
            self._keys(document.id, document.metadata.get(self.field)) if alive is None or alive[position] else []
            for position, document in enumerate(context.corpus)
        ]

    def _keys(self, id: str, value: Any) -> list[str]:
        """Keys of the images of a document.

        Raises:
            DataError: Its field names something else, or a file that cannot be read.
        """
        if value is None:
            return []
        paths = value if isinstance(value, list) else [value]
        if not all(isinstance(path, str) for path in paths):
            raise DataError(
                f"document '{id}': its field '{self.field}' must be a path or a list of paths, got {value!r}"
            )
        try:
            return [image_key(Path(self.folder or "", path).resolve()) for path in paths]
        except OSError as error:
            raise DataError(f"document '{id}': its image '{error.filename}' cannot be read: {error.strerror}") from None
