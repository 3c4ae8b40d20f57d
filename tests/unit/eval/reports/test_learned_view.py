"""What was learned, as the report says it."""

from __future__ import annotations

from rag.eval.reports.learned_view import learned_views


def test_options_features_and_strangers():
    options = [
        {"name": "as it came", "quality": 0.3, "gain": 0.0, "error": 0.0, "strangers": None},
        {"name": "with memory", "quality": 0.4, "gain": 0.1, "error": 0.02, "strangers": (600, -0.001, 0.002)},
    ]
    part = {"name": "stages.0", "type": "learned_rank", "options": options, "chosen": "with memory", "on": "9 queries"}
    curves = {"bm25": [[0.0, -0.5], [1.0, 0.5]]}
    (view,) = learned_views([part | {"importances": {"bm25": 0.7, "cosine": 0.3}, "dependence": curves}])
    assert view.name == "stages.0 learned_rank"
    assert view.lines[1].startswith("with memory: 0.4000 (+0.1000 ± 0.0200 to the best before); of 600 training")
    assert view.lines[2] == "compared on 9 queries"
    assert view.features == [("bm25", 0.7, "-0.50 +0.50"), ("cosine", 0.3, "")]


def test_adapted_queries():
    part = {"name": "e", "type": "adapted", "plain": 0.3, "adapted": 0.31, "gain": 0.01, "error": 0.001, "used": True}
    assert learned_views([part])[0].lines == [
        "nDCG@10 of its vectors alone: 0.3000 -> 0.3100 (+0.0100 ± 0.0010); queries are moved"
    ]
