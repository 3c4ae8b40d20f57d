"""Names on their way out."""

from __future__ import annotations

import warnings

import pytest

import rag
from rag import deprecation
from rag.deprecation import Deprecation, DeprecationNotice, deprecated, overdue


@pytest.fixture(autouse=True)
def _none_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deprecation, "_ALL", list(deprecation._ALL))


def test_it_works_and_warns_once_where_it_was_called() -> None:
    @deprecated(since="0.3", removed_in="0.5", instead="search()")
    def find(text: str, *, top_k: int = 1) -> str:
        """Find."""
        return text * top_k

    with pytest.warns(DeprecationNotice) as caught:
        assert (find("a", top_k=2), find("b")) == ("aa", "b")
    name = "test_it_works_and_warns_once_where_it_was_called.<locals>.find()"
    assert [str(warning.message) for warning in caught] == [
        f"{name} is deprecated since 0.3 and goes in 0.5: use search()"
    ]
    assert caught[0].filename == __file__
    assert find.__doc__ == "Find."


def test_an_argument_warns_only_where_it_is_used() -> None:
    notice = Deprecation("the argument 'k' of search()", since="0.3", removed_in="0.5", instead="top_k")

    def search(top_k: int = 10, k: int | None = None) -> int:
        if k is not None:
            notice.warn()
        return top_k if k is None else k

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert search(3) == 3
    with pytest.warns(DeprecationNotice, match="'k' of search") as caught:
        assert search(k=4) == 4
    assert caught[0].filename == __file__


def test_what_was_promised_to_go_is_overdue_from_that_version_on() -> None:
    Deprecation("find()", since="9.3", removed_in="9.10", instead="search()")
    assert [overdue(version) for version in ("9.9", "9.9.9")] == [[], []]
    assert overdue("9.10") == ["find() is deprecated since 9.3 and goes in 9.10: use search()"]


def test_it_goes_after_it_was_deprecated() -> None:
    with pytest.raises(ValueError, match=r"removed in 0\.5, but deprecated only since 0\.5"):
        Deprecation("find()", since="0.5", removed_in="0.5", instead="search()")


def test_nothing_is_overdue() -> None:
    assert overdue(rag.__version__) == []
