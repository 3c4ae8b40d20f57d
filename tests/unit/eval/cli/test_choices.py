"""The command line names its choices itself, so that help loads nothing heavy: they must be those of the functions."""

from __future__ import annotations

from typing import get_args

from rag.eval.cli import compare as cli
from rag.eval.comparison import significance


def test_tests_and_corrections_are_those_that_there_are():
    assert get_args(significance.Test) == get_args(cli.Test) == tuple(significance.TESTS)
    assert get_args(significance.Correction) == get_args(cli.Correction)
