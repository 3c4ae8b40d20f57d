"""Semantic entropy: a scripted model and judge over real sockets, against entropies worked out here."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from rag import ConfigError, Document, ModelError, Pipeline, Store
from rag.eval import evaluate
from rag.eval.datasets.base import Dataset, Split
from rag.listening import listening
from rag.retrievers import BM25
from rag.summarizers import ChatModel, Extractive, Generate, SemanticEntropy, TransformersSummarizer
from rag.summarizers.semantic_entropy import semantic_entropy
from rag.types import Query
from tests.chat_server import asked, chat_server
from tests.fakes import WordEmbedder

DOCUMENTS = [Document("moon", "Armstrong walked on the moon in July 1969."), Document("sun", "Nobody went to the sun.")]
MEANS = {"In 1969 [1].": 1969, "It was 1969.": 1969, "1969, in July [1]": 1969, "In 1970.": 1970, "1971?": 1971}
"""What each sample means, as its year."""


class Script:
    """A model that gives scripted samples at temperature 1, and judges by the year."""

    def __init__(self, samples, *, logs=None, judge=None) -> None:
        self.samples, self.logs, self.judge = samples, logs, judge
        self.given, self.judged = Counter(), []

    def __call__(self, request, number):
        prompt = asked(request)
        if "First answer:" in prompt:
            first, second = (prompt.split(f"{name} answer: ")[1].split("\n")[0] for name in ("First", "Second"))
            self.judged.append((first, second))
            return {"body": self.judge or ("Yes." if self.year(first) == self.year(second) else "no")}
        if request["temperature"] == 0:
            return {"body": "In 1969 [1].", "logprobs": [0.0]}
        turn = self.given[prompt]
        self.given[prompt] += 1
        return {"body": self.samples[turn], "logprobs": self.logs[turn] if self.logs else [0.0]}

    def year(self, text):
        return next(year for sample, year in MEANS.items() if sample.replace(" [1]", " ").strip()[:7] == text[:7])


def model(server, temperature=0.0, **more):
    return ChatModel("tiny", base_url=server.url, temperature=temperature, concurrency=1, retries=0, **more)


def pipeline(server, *, samples, weights="counts", embedder=None, options=None, similarity=0.9):
    uncertainty = SemanticEntropy(
        writer=model(server, 1.0, options=options),
        samples=samples,
        judge=model(server) if embedder is None else None,
        embedder=embedder,
        weights=weights,
        similarity=similarity,
    )
    return Pipeline(retriever=BM25(), stages=[Generate(writer=model(server), uncertainty=uncertainty)]).fit(DOCUMENTS)


def test_the_entropy_is_over_meanings_not_over_words():
    said = ["In 1969 [1].", "It was 1969.", "In 1970.", "1969, in July [1]", "In 1970.", "1971?"]
    script = Script(said)
    with chat_server(script) as server:
        result = pipeline(server, samples=6).search("when did Armstrong walk on the moon?")
        n_requests = len(server.requests)
    answer = result.answer
    assert answer.text == "In 1969 [1]."
    assert answer.meanings == (3, 2, 1)
    assert answer.entropy == pytest.approx(scipy_entropy([3, 2, 1]))
    # Both directions of each pair with the first of a group; the second "In 1970." is known by its words.
    assert len(script.judged) == 2 * (1 + 1 + 2 + 2)
    assert answer.llm_calls == n_requests == 1 + 6 + len(script.judged)
    assert result.costs.llm_calls == n_requests


def test_samples_that_agree_are_sure_and_the_judge_is_not_asked():
    script = Script(["In 1969 [1].", "in 1969", "In 1969."])
    with chat_server(script) as server:
        answer = pipeline(server, samples=3).search("moon").answer
    assert (answer.entropy, answer.meanings, script.judged) == (0.0, (3,), [])


def test_likelihood_weighs_samples_by_their_probability_per_token():
    logs = [[-0.1, -0.3], [-2.0], [-1.0, -1.0, -1.0]]
    with chat_server(Script(["In 1969 [1].", "In 1970.", "It was 1969."], logs=logs)) as server:
        answer = pipeline(server, samples=3, weights="likelihood", options={"logprobs": True}).search("moon").answer
    weights = [math.exp(-0.2), math.exp(-2.0), math.exp(-1.0)]
    assert answer.entropy == pytest.approx(scipy_entropy([weights[0] + weights[2], weights[1]]))


def test_a_model_without_probabilities_is_refused():
    refused = pytest.raises(ModelError, match="gave no log-probabilities, which weights: likelihood needs")
    with chat_server(Script(["In 1969 [1].", "In 1970."])) as server, refused:
        pipeline(server, samples=2, weights="likelihood").search("moon")


def test_by_vectors_nobody_is_asked():
    said = ["the sun shines", "shines the sun", "the moon"]
    script = Script(said)
    with chat_server(script) as server:
        answer = pipeline(server, samples=3, embedder=WordEmbedder(), similarity=0.99).search("moon").answer
    assert (answer.meanings, script.judged) == ((2, 1), [])
    assert answer.entropy == pytest.approx(scipy_entropy([2, 1]))


def test_a_judge_that_says_neither_tells_nothing():
    with chat_server(Script(["In 1969 [1].", "In 1970."], judge="perhaps")) as server:
        result = pipeline(server, samples=2).search("moon")
    answer = result.answer
    assert (answer.text, answer.entropy, answer.meanings) == ("In 1969 [1].", None, ())
    assert [remark.code for remark in result.remarks] == ["entropy_unknown"]


def test_samples_that_were_not_written_are_said():
    with chat_server(Script(["In 1969 [1].", "", "It was 1969."])) as server:
        result = pipeline(server, samples=3).search("moon")
    assert (result.answer.entropy, result.answer.meanings) == (0.0, (2,))
    assert [remark.message for remark in result.remarks] == ["'semantic_entropy': 1 of 3 samples were not written"]


def test_without_passages_nothing_is_sampled():
    with chat_server(Script([])) as server:
        answer = pipeline(server, samples=2).search("zebra").answer
        assert server.requests == []
    assert (answer.abstained, answer.entropy) == (True, None)


def test_samples_are_kept_and_who_listens_hears_the_answer_alone(tmp_path):
    heard = []
    store = Store(tmp_path)
    with chat_server(Script(["In 1969 [1].", "In 1970."])) as server:
        line = pipeline(server, samples=2)
        with listening(heard.append):
            first = line.search("moon").answer
        assert "".join(heard).strip() == "In 1969 [1]."
        dataset = Dataset("moon", line.corpus, {"test": Split([Query("q", "moon")], {"q": {"moon": 1}})})
        script = server.answer = Script(["In 1969 [1].", "In 1970."])
        evaluations = [evaluate(line.spec.clone(), dataset, store=store, timed=False) for _ in range(2)]
        assert sum(script.given.values()) == 2  # once: the second evaluation reads the store
    assert [evaluation.results[0].answer.entropy for evaluation in evaluations] == [first.entropy] * 2
    store.close()


def test_evaluation_tells_how_well_entropy_finds_wrong_answers():
    """Sure answers are right and unsure ones are wrong, so the area is 1."""
    queries = [Query(f"q{n}", f"moon word{n}", {"answer": "1969" if n % 2 else "1111"}) for n in range(6)]

    def answer(request, number):
        prompt = asked(request)
        if "First answer:" in prompt:
            return {"body": "no"}
        sure = int(prompt.split("word")[1][0]) % 2
        return {"body": f"{number} yes"} if request["temperature"] and not sure else {"body": "In 1969 [1]."}

    with chat_server(answer) as server:
        line = pipeline(server, samples=3)
        dataset = Dataset("moon", line.corpus, {"test": Split(queries, {query.id: {"moon": 1} for query in queries})})
        metrics = evaluate(line, dataset, timed=False).metrics["answers"]
    assert metrics["uncertainty"]["auroc"]["value"] == 1.0
    assert (metrics["uncertainty"]["auroc"]["happened"], metrics["uncertainty"]["auroc"]["not"]) == (3, 3)
    assert metrics["measures"]["entropy"]["mean"] == pytest.approx(math.log(3) / 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.01, 5)), min_size=1, max_size=20))
def test_the_entropy_against_scipy(pairs):
    totals = Counter()
    for group, share in pairs:
        totals[group] += share
    expected = scipy_entropy(list(totals.values()))
    assert semantic_entropy(*zip(*pairs, strict=True)) == pytest.approx(expected, abs=1e-9)


def test_what_cannot_be_sampled_or_told_apart_is_refused():
    warm, cold = ChatModel("m", temperature=1.0), ChatModel("m")
    with pytest.raises(ConfigError, match="writer: must have a temperature above 0, or all samples are alike"):
        SemanticEntropy(writer=cold, judge=cold)
    with pytest.raises(ConfigError, match="writer: must have a temperature above 0"):
        SemanticEntropy(writer=TransformersSummarizer("any"), judge=cold)
    with pytest.raises(ConfigError, match="judge: must be left out where an embedder tells which answers are alike"):
        SemanticEntropy(writer=warm, judge=cold, embedder=WordEmbedder())
    with pytest.raises(ConfigError, match="writer: needs a language model"):
        SemanticEntropy(writer=Extractive(embedder=WordEmbedder()), judge=cold)
