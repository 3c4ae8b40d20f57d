"""Encoders of images and texts into one space, such as CLIP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from rag.candidates import Vectors
from rag.component import Runtime
from rag.embedders.base import Embedder
from rag.errors import ConfigError, DataError, MissingExtraError, first_line
from rag.models import Device, load_sentence_transformer, model_content

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["ImageText", "image_key"]

_KEY = re.compile(r"(image:[0-9a-f]{32}) (.+)", re.DOTALL)


def image_key(path: Path) -> str:
    """The text that stands for an image file: its content's hash, which its vector is kept by, and its path.

    Raises:
        OSError: It cannot be read.
    """
    return f"image:{hashlib.sha256(path.read_bytes()).hexdigest()[:32]} {path}"


class ImageText(Embedder):
    """A model of sentence-transformers for images and texts (CLIP: Radford et al. 2021): a question finds pictures by
    what is on them. Texts are embedded as texts; where a key ``image`` uses it, the texts of its keys name files
    (:func:`image_key`), and these are opened. Texts longer than the model's window (77 tokens in CLIP) are cut.

    Args:
        model: Hub name, such as ``sentence-transformers/clip-ViT-B-32``, or path of a folder.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        batch_size: Images or texts of a forward pass.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
    """

    type = "image_text"
    _libraries = ("sentence-transformers", "transformers")

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        batch_size: Annotated[int, Field(ge=1), Runtime()] = 32,
        device: Annotated[Device, Runtime()] = "auto",
    ) -> None:
        self.model = model
        self.revision = revision
        self.batch_size = batch_size
        self.device = device

    @cached_property
    def encoder(self) -> SentenceTransformer:
        """The loaded model, shared by all components that name it.

        Raises:
            ConfigError: It reads no images.
            MissingExtraError: Pillow is not installed.
        """
        try:
            import PIL  # noqa: F401
        except ImportError:
            raise MissingExtraError(f"the embedder {self.spec.label}", package="pillow", extra="images") from None
        encoder = load_sentence_transformer(self.model, device=self.device, revision=self.revision)
        if "image" not in getattr(encoder, "modalities", ()):
            raise ConfigError(f"the model '{self.model}' reads texts only: use sentence_transformer", parameter="model")
        return encoder

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    @property
    def dimension(self) -> int:
        return int(self.embed_queries(["length"]).shape[1])

    @property
    def window(self) -> int | None:
        return getattr(self.encoder, "max_seq_length", None)

    def stored_as(self, text: str) -> str:
        named = _KEY.fullmatch(text)
        return text if named is None else named[1]  # wherever the file lies

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._encoded(list(texts))

    def embed_documents(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        blocks = []
        for first in range(0, len(texts), self.batch_size):
            block = [self._opened(text) for text in texts[first : first + self.batch_size]]
            blocks.append(self._encoded(block))
            if advance:
                advance(len(block))
        return np.concatenate(blocks) if blocks else self._encoded([])

    def _encoded(self, inputs: list[Any]) -> Vectors:
        vectors: Vectors | None = None
        for is_image in (False, True):  # each by its own part of the model
            rows = [row for row, item in enumerate(inputs) if isinstance(item, str) != is_image]
            if not rows and (is_image or inputs):
                continue
            part = self.encoder.encode(
                [inputs[row] for row in rows] or [""],
                batch_size=self.batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            ).astype(np.float32, copy=False)
            vectors = np.empty((len(inputs), part.shape[1]), dtype=np.float32) if vectors is None else vectors
            vectors[rows] = part[: len(rows)]
        assert vectors is not None
        return vectors

    def _opened(self, text: str) -> Any:
        named = _KEY.fullmatch(text)
        if named is None:
            return text
        from PIL import Image

        try:
            with Image.open(named[2]) as image:
                return image.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{named[2]}: cannot be read as an image: {first_line(error)}") from None
