"""Abstaining where the documents found probably hold no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from rag.candidates import Bools, Candidates, Floats, Ints
from rag.errors import DataError, NotFittedError
from rag.filters.base import Filter
from rag.filters.keep import choose_cut
from rag.filters.question_features import question_features
from rag.learning.probe import Probe
from rag.remarks import Remark

if TYPE_CHECKING:
    from rag.batch import QueryBatch
    from rag.fitting import FitContext

__all__ = ["Answerable", "halves", "largest_share_at_risk", "threshold_at_risk"]

_NEVER = 2.0
"""A threshold that no probability reaches."""

_SHARES = 10
"""Shares of answered questions that are tested where the risk is of the answered ones."""


class Answerable(Filter):
    """Returns the list of a question unchanged, or nothing, when it probably holds no relevant document among its first
    ``depth``: at most a stated share of questions is answered from documents that hold no answer.

    A probe (logistic regression) tells the probability from what one search gives: the shape of all lists of scores,
    how far they agree, and which words of the question the best passages have. Half of the training questions, drawn at
    random, teach it, the other half calibrate the threshold, and what is stated holds for finite samples if new
    questions are drawn like these. Questions without an answer must be among them: those that are judged to have
    nothing relevant, those that retrieval misses (``rag eval --nulls`` makes some).

    With ``of: all`` a question is a failure when it is answered wrongly, and the share of failures among all new
    questions is at most ``risk`` in expectation over the calibration questions (conformal risk control: Angelopoulos et
    al. 2022, Theorem 1). With ``of: answered`` the share of failures among the *answered* questions is at most ``risk``
    with probability ``confidence`` over the calibration questions (learn then test: Angelopoulos et al. 2021; binomial
    tests of ten shares of answered questions in a fixed order).

    Where it abstains, the result has a remark, and the answer of a ``generate`` behind it is the abstention.

    Args:
        risk: Largest share of questions that are answered wrongly.
        of: What the share is of: ``all`` questions, or the ``answered`` ones, which is stricter.
        depth: A question is answered rightly when a relevant document is among so many first candidates.
        confidence: Probability that the risk of the answered ones is met; without effect on ``of: all``, where it is
            met in expectation.
    """

    type = "answerable"
    _libraries = ("scikit-learn", "scipy")
    keep = None
    top_k = None

    def __init__(
        self,
        *,
        risk: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        of: Literal["all", "answered"] = "all",
        depth: Annotated[int, Field(ge=1)] = 10,
        confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9,
    ) -> None:
        self.risk = risk
        self.of: Literal["all", "answered"] = of
        self.depth = depth
        self.confidence = confidence
        self._probe: Probe | None = None
        self._threshold: float | None = None
        self._seen: tuple[int, float, float] = (0, 0.0, 0.0)  # calibration questions, share answered, share wrong

    @property
    def threshold(self) -> float:
        if self._threshold is None:
            raise NotFittedError.of(self)
        return self._threshold

    @property
    def threshold_settings(self) -> tuple[str, ...]:
        return ("risk",)

    @property
    def rule(self) -> str:
        return f"whole lists that hold an answer with a probability of at least {self.threshold:.3g}"

    def fit(self, context: FitContext) -> None:
        super().fit(context)
        batch, candidates = context.training_run()
        relevant = self._relevant(batch, candidates, context)
        right: Bools = np.asarray(relevant[:, : self.depth].any(axis=1), dtype=bool)
        taught, held = halves(len(right), context.seed)
        features = question_features(batch, candidates, self.passages)
        try:
            self._probe = Probe.of({name: values[taught] for name, values in features.items()}, right[taught])
        except DataError:
            raise DataError(
                f"{self.spec.label} learns from questions with and without a relevant document among the first "
                f"{self.depth}: of {len(taught)} training questions {right[taught].sum()} have one (questions without "
                "an answer: rag eval --nulls)"
            ) from None
        likely = self._probe(features)
        if self.of == "all":
            self._threshold = threshold_at_risk(likely[held], right[held], self.risk, self.spec.label)
        else:
            error = 1 - self.confidence
            self._threshold = largest_share_at_risk(likely[taught], likely[held], right[held], self.risk, error)
        answered = likely[held] >= self._threshold
        self._seen = (len(held), float(answered.mean()), float((answered & ~right[held]).mean()))
        values = np.where(candidates.mask, likely[:, None], -np.inf)[held]
        self.cut = choose_cut({"threshold": self._threshold}, values, relevant[held], self.spec.label)

    def values(self, batch: QueryBatch, candidates: Candidates) -> Floats:
        """The probability that a question is answered rightly, for each of its candidates, float32 [n, k]."""
        if self._probe is None:
            raise NotFittedError.of(self)
        likely = self._probe(question_features(batch, candidates, self.passages))
        return np.where(candidates.mask, likely[:, None], np.float32(-np.inf))

    def process(self, batch: QueryBatch, candidates: Candidates) -> Candidates:
        answered = super().process(batch, candidates)
        for row in np.flatnonzero((candidates.counts > 0) & (answered.counts == 0)).tolist():
            batch.remark(batch.queries[row], self._abstention)
        return answered

    @property
    def _abstention(self) -> Remark:
        share = "questions" if self.of == "all" else "answered questions"
        message = (
            f"{self.spec.label} abstains: the documents found probably do not hold the answer (at most {self.risk:.3g} "
            f"of {share} may be answered from wrong ones)"
        )
        return Remark("abstained", message)

    def notes(self) -> tuple[str, ...]:
        if self._threshold is None:
            return ()
        n, answered, wrong = self._seen
        of_answered = wrong / answered if answered else 0.0
        told, of = (wrong, "all") if self.of == "all" else (of_answered, "those answered")
        return (
            f"{self.spec.label} answers {answered:.1%} of {n} calibration questions, {told:.1%} of {of} wrongly "
            f"(stated: {self.risk:.1%})",
        )

    @property
    def _caches_state(self) -> bool:
        return True

    def save_state(self, folder: Path) -> None:
        super().save_state(folder)
        if self._probe is not None:
            state = {"probe": self._probe.as_dict(), "threshold": self._threshold, "seen": self._seen}
            (folder / "probe.json").write_text(json.dumps(state), encoding="utf-8")

    def load_state(self, folder: Path, context: FitContext) -> None:  # type: ignore[override]
        super().load_state(folder, context)
        if (folder / "probe.json").is_file():
            state = json.loads((folder / "probe.json").read_text(encoding="utf-8"))
            self._probe, self._threshold = Probe.from_dict(state["probe"]), state["threshold"]
            n, answered, wrong = state["seen"]
            self._seen = (n, answered, wrong)


def threshold_at_risk(likely: Floats, right: Bools, risk: float, label: str = "'answerable'") -> float:
    """The lowest threshold at which the calibration questions answered wrongly, plus one, are at most ``risk * (n +
    1)``: the expected share of all new questions that are answered wrongly is then at most ``risk``.

    Args:
        likely: Probability of each question, float32 [n]; those of at least the threshold are answered.
        right: Whether each would be answered rightly, bool [n].
        risk: Largest share.
        label: Name of the component, for the message.

    Raises:
        DataError: So few questions can show no risk that low.
    """
    n = len(likely)
    allowed = int(np.floor(risk * (n + 1) - 1 + 1e-9))
    if allowed < 0:
        needed = 2 * int(np.ceil(1 / risk - 1 - 1e-9))
        raise DataError(f"{label}: a risk of {risk:g} needs at least {needed} training questions, got {2 * n}")
    wrong = np.sort(likely[~right])[::-1]
    # Just above the probability of the first wrong question too many: questions at a tie with it are not answered.
    return 0.0 if allowed >= len(wrong) else float(np.nextafter(wrong[allowed], np.float32(_NEVER)))


def largest_share_at_risk(taught: Floats, likely: Floats, right: Bools, risk: float, error: float) -> float:
    """The last of ten falling thresholds, those that answer a tenth, two tenths ... of the questions that taught, up to
    which every binomial test rejects, at the level ``error``, that more than ``risk`` of the answered questions are
    answered wrongly. Since the order is fixed, the level need not be shared among the tests; those of so few questions
    that they could not reject in any case are passed over.

    Args:
        taught: Probabilities of the questions that taught, float32 [m].
        likely: Probability of each calibration question, float32 [n]; those of at least the threshold are answered.
        right: Whether each would be answered rightly, bool [n].
        risk: Largest share of wrongly answered ones.
        error: Probability that the share is larger.

    Returns:
        The threshold; one that no probability reaches where the first test does not reject.
    """
    from scipy.stats import binom

    shares = np.arange(1, _SHARES + 1) / _SHARES
    cuts: Floats = np.asarray(np.quantile(taught, 1 - shares, method="lower"), dtype=np.float32)
    answered = likely[None, :] >= cuts[:, None]
    n, wrong = answered.sum(axis=1), (answered & ~right).sum(axis=1)
    able: Bools = np.asarray(np.power(1 - risk, n) <= error)
    rejects = np.logical_and.accumulate(binom.cdf(wrong, n, risk)[able] <= error)
    return float(cuts[able][rejects].min(initial=_NEVER))


def halves(n: int, seed: int) -> tuple[Ints, Ints]:
    """Rows of the questions that teach, and of those that calibrate, each ascending."""
    order = np.random.default_rng(seed).permutation(n).astype(np.int64)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])
