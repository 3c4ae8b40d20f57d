"""PSP, by hand."""

from __future__ import annotations

from math import log

import pytest

from rag import Corpus, DataError, Document, Pipeline, Query
from rag.errors import ConfigError
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.eval.measures.names import parse_measures
from rag.eval.measures.propensity import inverse_propensities, with_training
from rag.eval.measures.values import per_query
from rag.retrievers import BM25

LABELS = {"often": "common label", "seldom": "rare label", "never": "unseen label", "other": "another label"}
TRAIN = {f"t{n}": {"often": 1, "other": 0} | ({"seldom": 2} if n < 3 else {}) for n in range(40)}


def dataset(**splits):
    corpus = Corpus.from_documents(Document(id, text) for id, text in LABELS.items())
    made = {name: Split([Query(id, "label") for id in qrels], qrels) for name, qrels in splits.items()}
    return Dataset("labels", corpus, made)


def weight(count, n=40, a=0.55, b=1.5):
    """1 / p of the paper, as it writes it."""
    c = (log(n) - 1) * (b + 1) ** a
    return 1 / (1 / (1 + c * 2.718281828459045 ** (-a * log(count + b))))


def test_weights_are_the_inverse_propensities_of_the_paper():
    weights, unseen = inverse_propensities(TRAIN)
    assert weights == pytest.approx({"often": weight(40), "seldom": weight(3)})
    assert unseen == pytest.approx(weight(0))
    assert inverse_propensities(TRAIN, n_queries=100, a=0.6, b=2.6)[0]["often"] == pytest.approx(
        weight(40, 100, 0.6, 2.6)
    )
    assert inverse_propensities({"q": {"x": 1}}) == ({"x": 1.0}, 1.0)  # ln 1 - 1 is below 0


def test_rare_labels_count_more_and_the_best_list_has_1():
    test = {"q": {"often": 1, "seldom": 1, "never": 1, "other": 0}, "none": {"often": 0}}
    measures = with_training(
        parse_measures(["PSP@1", "PSP@2", "PSP@5", "PSP(rel=2)@5"]), dataset(train=TRAIN, test=test)
    )
    run = {"q": {"often": 3.0, "other": 2.0, "seldom": 1.0}, "none": {"often": 1.0}}
    values = per_query(measures, test, run)
    best = weight(0) + weight(3) + weight(40)
    expected = {
        "PSP@1": weight(40) / weight(0),
        "PSP@2": weight(40) / (weight(0) + weight(3)),
        "PSP@5": (weight(40) + weight(3)) / best,
        "PSP(rel=2)@5": 0.0,
    }
    assert {name: value["q"] for name, value in values.items()} == pytest.approx(expected)
    assert all(value["none"] == 0 for value in values.values())
    perfect = {"q": {"never": 3.0, "seldom": 2.0, "often": 1.0}}
    assert [per_query(measures[:3], test, perfect)[name]["q"] for name in list(expected)[:3]] == pytest.approx(
        [1, 1, 1]
    )


def test_evaluating_takes_the_weights_from_the_training_split():
    test = {"q": {"seldom": 1}}
    pipeline = Pipeline(retriever=BM25())
    evaluation = evaluate(pipeline, dataset(train=TRAIN, test=test), measures=["PSP@3", "P@3"], timed=False)
    assert evaluation.values["PSP@3"]["q"] in (0.0, 1.0)
    with pytest.raises(DataError, match=r"PSP@3 weighs documents .* in split 'train', .*\(splits: test\)"):
        evaluate(pipeline, dataset(test=test), measures=["PSP@3"])


def test_without_training_or_a_cutoff_it_is_refused():
    with pytest.raises(DataError, match="needs the judgments of a dataset's split 'train'"):
        per_query(parse_measures(["PSP@3"]), {"q": {"a": 1}}, {"q": {"a": 1.0}})
    with pytest.raises(ConfigError, match="'PSP': needs a cutoff, such as PSP@10"):
        parse_measures(["PSP"])
