"""What was won, in a sentence."""

from __future__ import annotations

from dataclasses import replace

from rag.hpo.results.win import Win

WON = Win("nDCG@10", 0.36, 0.41, 0.05, (0.03, 0.07), 0.00005, ("feedback off -> on",), (9.0, 12.0), 4, 3.0)


def test_what_was_won():
    assert WON.sentence == (
        "nDCG@10 0.3600 -> 0.4100 on the test questions (won +0.0500, 95 % +0.0300 to +0.0700, p < .0001) by feedback "
        "off -> on; 9.0 -> 12.0 ms a question."
    )


def test_what_may_be_luck_is_not_said_to_be_won():
    assert "(not proven: +0.0500, 95 % +0.0300 to +0.0700, p 0.5000)" in replace(WON, p_value=0.5).sentence
    assert "(lost -0.0500, " in replace(WON, difference=-0.05).sentence


def test_what_was_learned_is_told_apart():
    said = replace(WON, remembered=((0.2, 171), (-0.01, 129))).sentence
    assert said.endswith(
        " It learns from judgments: +0.2000 on the 171 questions that share a relevant document with training, "
        "-0.0100 on the 129 that do not."
    )


def test_nothing_was_won():
    assert replace(WON, by=()).sentence == (
        "No change is sure to help: the pipeline stays as it is (nDCG@10 0.3600 on the test questions, "
        "9.0 ms a question)."
    )
    assert replace(WON, by=(), tried=0).sentence == (
        "The budget was too small to try anything: measuring the pipeline itself took 3 s (nDCG@10 0.3600 on the test "
        "questions)."
    )
