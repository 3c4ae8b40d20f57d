"""What a file means: YAML 1.2, variables, extends and overrides, and writing it back."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import ConfigError, Pipeline
from rag.config import dump, read_source
from rag.config.source import node_from_python
from rag.errors import Mistakes

CONFIGS = Path(__file__).parents[4] / "configs"
BM25 = "type: pipeline\nretriever: {type: bm25}\n"


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        file = tmp_path / name
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    return write_file


def plain(file, *overrides):
    """A file's values; nothing may be wrong with it."""
    mistakes = Mistakes()
    node = read_source(file, overrides=overrides, mistakes=mistakes)
    assert mistakes == []
    return node.plain()


def wrong(file, *overrides):
    mistakes = Mistakes()
    read_source(file, overrides=overrides, mistakes=mistakes)
    return [str(mistake).replace(f"{file.parent}/", "") for mistake in mistakes]


# -- scalars ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("NO", "NO"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("'null'", "null"),
        ("'true'", "true"),
        ('"1"', "1"),
        ("1", 1),
        ("-3", -3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("2001-01-01", "2001-01-01"),
        ("a: b", {"a": "b"}),
        ("[1, a, [2.5]]", [1, "a", [2.5]]),
        ("| \n  two\n  lines\n", "two\nlines\n"),
        (">\n  one\n  line", "one line"),
        ("'żółw 猫'", "żółw 猫"),
    ],
)
def test_values_are_those_of_yaml_1_2(write, written, expected):
    parsed = plain(write("a.yaml", "key:\n " + written))["key"]
    assert (parsed, str if isinstance(parsed, str) else type(parsed)) == (expected, type(expected))


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\nb: {c: ${NO_SUCH}}\n")
    message = "bom.yaml:2:8: b.c: the environment variable NO_SUCH is not set (a default: ${NO_SUCH:-...})"
    assert wrong(file) == [message]


def test_anchors_and_aliases(write):
    file = write("a.yaml", "a: &one {x: [1]}\nb: *one\nc: [*one, *one]\n")
    anchored = {"x": [1]}
    assert plain(file) == {"a": anchored, "b": anchored, "c": [anchored, anchored]}


# -- variables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${RAG_N}", 50),
        ("${RAG_X}", "text"),
        ("${RAG_B}", True),
        ("${RAG_EMPTY}", None),
        ("'${RAG_N}'", "50"),
        ('"${RAG_B}"', "true"),
        ('"${RAG_EMPTY}"', ""),
        ("${RAG_NO:-7}", 7),
        ("${RAG_NO:-1.5}", 1.5),
        ("${RAG_NO:-}", None),
        ("${RAG_NO:-a b}", "a b"),
        ("${RAG_NO:-no}", "no"),
        ("'${RAG_NO:-7}'", "7"),
        ("${RAG_EMPTY:-7}", 7),
        ("${RAG_NO:-${RAG_EMPTY:-30}}", 30),
        ("${RAG_NO:-${RAG_N}}", 50),
        ("${RAG_N:-${RAG_NO:-30}}", 50),
        ("[${RAG_NO:-${RAG_NO:-[a, b: 1]}}, x]", ["[a, b: 1]", "x"]),
        ("a${RAG_NO:-${RAG_X}-${RAG_N}}b", "atext-50b"),
        ("${RAG_NO:-$${RAG_N}}", "${RAG_N}"),
        ("${RAG_N}0", 500),
        ("a${RAG_N}b${RAG_X}", "a50btext"),
        ("$$", "$"),
        ("$${RAG_N}", "${RAG_N}"),
        ("$$${RAG_N}", "$50"),
        ("$RAG_N", "$RAG_N"),
        ("a$", "a$"),
        ("${}", "${}"),
        ("${1X}", "${1X}"),
        ("['${RAG_N}', x]", ["50", "x"]),
    ],
)
def test_variables_take_the_environments_value_and_yamls_type(write, monkeypatch, written, expected):
    for name, value in {"RAG_N": "50", "RAG_X": "text", "RAG_B": "true", "RAG_EMPTY": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAG_NO", raising=False)
    parsed = plain(write("a.yaml", f"key: {written}\n"))["key"]
    assert (parsed, str if isinstance(parsed, str) else type(parsed)) == (expected, type(expected))


def test_what_a_variable_holds_is_text_and_no_yaml(write, monkeypatch):
    monkeypatch.setenv("RAG_X", "{a: 1}\n- ${RAG_N} *alias !!tag")
    assert plain(write("a.yaml", "key: ${RAG_X}\n"))["key"] == "{a: 1}\n- ${RAG_N} *alias !!tag"


def test_keys_are_not_interpolated(write, monkeypatch):
    monkeypatch.setenv("RAG_X", "key")
    assert plain(write("a.yaml", "${RAG_X}: 1\n")) == {"${RAG_X}": 1}


def test_a_variable_that_is_not_set_is_a_mistake(write, monkeypatch):
    monkeypatch.delenv("RAG_NO", raising=False)
    file = write("a.yaml", "a:\n  - x\n  - pre ${RAG_NO}\n")
    assert wrong(file) == ["a.yaml:3:5: a.1: the environment variable RAG_NO is not set (a default: ${RAG_NO:-...})"]


# -- extends ------------------------------------------------------------------------------------------------------


def test_extends_merges_mappings_and_replaces_everything_else(write):
    write("base.yaml", "a: {x: 1, y: {z: 2}}\nlist: [1, 2, 3]\nkeep: 5\n")
    file = write("a.yaml", "extends: base.yaml\na: {y: {w: 3}, x: 7}\nlist: [9]\nmore: 6\n")
    assert plain(file) == {"a": {"x": 7, "y": {"z": 2, "w": 3}}, "list": [9], "keep": 5, "more": 6}


def test_a_mapping_of_another_type_replaces_the_one_below(write):
    write("base.yaml", "r: {type: bm25, k1: 1.2}\nsame: {type: bm25, k1: 1.2}\nuntyped: {type: bm25, k1: 1.2}\n")
    file = write("a.yaml", "extends: base.yaml\nr: {type: dense, m: 1}\nsame: {type: bm25, b: 1}\nuntyped: {b: 1}\n")
    assert plain(file) == {
        "r": {"type": "dense", "m": 1},
        "same": {"type": "bm25", "k1": 1.2, "b": 1},
        "untyped": {"type": "bm25", "k1": 1.2, "b": 1},
    }


def test_files_extend_each_other_in_a_chain_relative_to_themselves(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.yaml").write_text("a: 1\nb: 1\nc: 1\n")
    (tmp_path / "sub" / "two.yaml").write_text("extends: ../one.yaml\nb: 2\nc: 2\n")
    (tmp_path / "three.yaml").write_text("extends: sub/two.yaml\nc: 3\n")
    assert plain(tmp_path / "three.yaml") == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("replace", [True, False])
def test_a_mistake_is_placed_in_the_file_it_was_written_in(write, replace):
    write("base.yaml", f"{BM25}stages:\n- {{type: threshold, top_k: 0}}\n")
    file = write("a.yaml", "extends: base.yaml\nretriever: {top_k: -1}\n" + ("stages: []\n" if replace else ""))
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(file)
    below = "base.yaml:4:28: stages.0.top_k: must be greater than or equal to 1, got 0"
    mine = "a.yaml:2:20: retriever.top_k: must be greater than or equal to 1, got -1"
    assert str(caught.value).replace(f"{file.parent}/", "").splitlines() == [mine, *([] if replace else [below])]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": "extends: a.yaml\n"}, ["a.yaml:1:10: extends: 'a.yaml' extends itself in a circle"]),
        (
            {"a": "extends: b.yaml\n", "b": "x: 1\nextends: c.yaml\n", "c": "extends: ./b.yaml\n"},
            ["c.yaml:1:10: extends: './b.yaml' extends itself in a circle"],
        ),
        ({"a": "extends: no.yaml\n"}, ["a.yaml:1:10: extends: no such file: 'no.yaml'"]),
        ({"a": "extends: [b.yaml]\n"}, ["a.yaml:1:11: extends: no such file: 'b.yaml'"]),
        ({"a": "extends: 1\n"}, ["a.yaml:1:10: extends: must be the path of a YAML file, or a list of them"]),
        (
            {"a": "extends: [b.yaml, {}]\n"},
            ["a.yaml:1:10: extends: must be the path of a YAML file, or a list of them"],
        ),
        ({"a": "extends:\nb: 1\n"}, ["a.yaml:1:1: extends: must be the path of a YAML file, or a list of them"]),
        ({"a": "r: [{extends: a.yaml}]\n"}, ["a.yaml:1:15: r.0.extends: 'a.yaml' extends itself in a circle"]),
        (
            {"a": "extends: b.yaml\n", "b": "[1, 2]\n"},
            ["a.yaml:1:10: extends: 'b.yaml' holds no mapping: there is nothing to extend"],
        ),
        ({"a": "extends: b.yaml\n", "b": ""}, ["b.yaml: the file is empty"]),
        (
            {"a": "extends: b.yaml\n", "b": "x: [1\n"},
            ["b.yaml:2:1: not valid YAML: expected ',' or ']', but got '<stream end>'; while parsing a flow sequence"],
        ),
    ],
)
def test_what_cannot_be_extended(write, files, expected):
    for name, text in files.items():
        write(f"{name}.yaml", text)
    file = write("a.yaml", files["a"])
    assert wrong(file) == expected


def test_of_several_files_the_later_holds_and_the_file_itself_last(write):
    write("one.yaml", "a: 1\nb: 1\nc: {x: 1, y: 1}\n")
    write("two.yaml", "b: 2\nc: {y: 2}\nd: 2\n")
    file = write("a.yaml", "extends: [one.yaml, two.yaml]\nd: 3\n")
    assert plain(file) == {"a": 1, "b": 2, "c": {"x": 1, "y": 2}, "d": 3}


def test_extends_works_anywhere_in_the_tree(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "dense.yaml").write_text("type: dense\nembedder: {extends: minilm.yaml}\ntop_k: 50\n")
    (tmp_path / "parts" / "minilm.yaml").write_text("type: sentence_transformer\nmodel: m\n")
    file = tmp_path / "a.yaml"
    file.write_text("type: pipeline\nretrievers:\n- {type: bm25}\n- {extends: parts/dense.yaml, top_k: 7}\n")
    dense = {"type": "dense", "embedder": {"type": "sentence_transformer", "model": "m"}, "top_k": 7}
    assert plain(file) == {"type": "pipeline", "retrievers": [{"type": "bm25"}, dense]}
    assert dense["embedder"] == plain(file, f"retrievers.0={{extends: {tmp_path}/parts/minilm.yaml}}")["retrievers"][0]


def test_what_is_inherited_can_be_unset(write):
    write("base.yaml", "type: t\na: {type: u, x: 1, y: {z: 2, w: 3}}\nb: 1\nc: 2\n")
    file = write("a.yaml", "extends: base.yaml\nunset: [b, a.y.z]\na: {unset: x}\nc: 5\n")
    assert plain(file) == {"type": "t", "a": {"type": "u", "y": {"w": 3}}, "c": 5}
    assert plain(write("b.yaml", "extends: base.yaml\n"), "a={unset: [y]}")["a"] == {"type": "u", "x": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: base.yaml\nunset: [topk]\n", ["a.yaml:2:9: unset: 'topk' is not inherited: there is no 'topk'; "]),
        ("extends: base.yaml\nr: {unset: [x.y]}\n", ["a.yaml:2:13: r.unset: 'x.y' is not inherited: there is no 'x'"]),
        ("extends: base.yaml\nunset: 5\n", ["a.yaml:2:8: unset: must be an inherited name, or a list of them"]),
        ("r: {unset: x}\n", ["a.yaml:1:5: r.unset: nothing is inherited here: 'unset' stands beside 'extends', or "]),
        (
            "extends: base.yaml\nr: {type: other, unset: k}\n",
            ["a.yaml:2:18: r.unset: nothing is inherited here: 'unset' stands beside 'extends', or below one, in a "],
        ),
    ],
)
def test_what_is_not_inherited_cannot_be_unset(write, text, expected):
    write("base.yaml", "top_k: 1\nr: {type: t, k: 1}\n")
    told = wrong(write("a.yaml", text))
    assert len(expected) == len(told)
    assert [mistake[: len(want)] for mistake, want in zip(told, expected, strict=True)] == expected


def test_keys_for_anchors_are_left_out_and_checked_where_they_are_used(write):
    file = write(
        "a.yaml",
        """\
        x-minilm: &minilm {type: sentence_transformer, model: m, other: "${RAG_NOT_THERE}"}
        x-note: [1, 2]
        type: pipeline
        retriever: {type: dense, x-k: &k 5, top_k: *k, options: {x-kept: 1}}
        """,
    )
    assert plain(file) == {"type": "pipeline", "retriever": {"type": "dense", "top_k": 5, "options": {"x-kept": 1}}}
    used = write("b.yaml", "x-e: &e {m: '${RAG_NOT_THERE}'}\na: *e\n")
    assert [mistake.partition(" (")[0] for mistake in wrong(used)] == [
        "b.yaml:1:13: a.m: the environment variable RAG_NOT_THERE is not set"
    ]


def test_what_has_no_end_in_a_comment_hides_nothing(write, monkeypatch):
    monkeypatch.delenv("RAG_NO", raising=False)
    file = write("a.yaml", "# such as ${RAG_A:-5\nkey: [${RAG_NO:-a, b}]  # ${\nmore: {x: ${RAG_NO:-7}}\n")
    assert plain(file) == {"key": ["a, b"], "more": {"x": 7}}
    assert plain(write("b.yaml", "options: {}\n"), "options={x-kept: 1}") == {"options": {"x-kept": 1}}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("'${RAG_A:-5'", "'${RAG_A:-5' has no end: a '}' is missing (write $$ for a dollar sign)"),
        ("'${RAG_A:-${RAG_B:-5}'", "'${RAG_A:-${RAG_B:-5}' has no end: a '}' is missing (write $$ for a dollar sign)"),
        (
            "'${RAG_A-5}'",
            "'${RAG_A-...' is not supported: write ${NAME} or ${NAME:-default} ($$ for a dollar sign)",
        ),
        (
            "'${RAG_A:?no}'",
            "'${RAG_A:?...' is not supported: write ${NAME} or ${NAME:-default} ($$ for a dollar sign)",
        ),
    ],
)
def test_what_only_looks_like_a_variable_is_a_mistake(write, written, expected):
    assert wrong(write("a.yaml", f"a: {written}\n")) == [f"a.yaml:1:4: a: {expected}"]


# -- overrides ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a.x=5", {"a": {"x": 5, "y": [1, {"z": 2}]}, "b": "t"}),
        ("a.y.0=5", {"a": {"x": 1, "y": [5, {"z": 2}]}, "b": "t"}),
        ("a.y[1].z=5", {"a": {"x": 1, "y": [1, {"z": 5}]}, "b": "t"}),
        ("a.y.1.w=on", {"a": {"x": 1, "y": [1, {"z": 2, "w": "on"}]}, "b": "t"}),
        ("a.y=[]", {"a": {"x": 1, "y": []}, "b": "t"}),
        ("a={x: 7}", {"a": {"x": 7}, "b": "t"}),
        ("a={type: new}", {"a": {"type": "new"}, "b": "t"}),
        ("b=", {"a": {"x": 1, "y": [1, {"z": 2}]}, "b": None}),
        ("b=a=b", {"a": {"x": 1, "y": [1, {"z": 2}]}, "b": "a=b"}),
        ("b='5'", {"a": {"x": 1, "y": [1, {"z": 2}]}, "b": "5"}),
        ("new.deep.key=1.5", {"a": {"x": 1, "y": [1, {"z": 2}]}, "b": "t", "new": {"deep": {"key": 1.5}}}),
    ],
)
def test_overrides_set_values_by_path(write, override, expected):
    file = write("a.yaml", "a: {x: 1, y: [1, {z: 2}]}\nb: t\n")
    assert plain(file, override) == expected


def test_an_override_of_a_component_keeps_what_it_does_not_say(write):
    file = write("a.yaml", "a: {type: t, x: 1, keep: {recall: 0.9}}\n")
    assert plain(file, "a={x: 7}") == {"a": {"type": "t", "x": 7, "keep": {"recall": 0.9}}}
    assert plain(file, "a={type: new}") == {"a": {"type": "new"}}
    assert plain(file, "a.keep={precision: 0.3}") == {"a": {"type": "t", "x": 1, "keep": {"precision": 0.3}}}


def test_overrides_are_made_in_order_after_extends(write):
    write("base.yaml", "a: {x: 1}\n")
    file = write("a.yaml", "extends: base.yaml\nb: 2\n")
    assert plain(file, "a.x=8", "b=3", "a.x=9") == {"a": {"x": 9}, "b": 3}


def test_an_override_reaches_the_pipeline(write):
    file = write("a.yaml", f"{BM25}stages: [{{type: threshold}}]\n")
    pipeline = Pipeline.from_yaml(file, overrides=["retriever.top_k=7", "stages.0.min_score=2"])
    assert (7, 2) == (pipeline.retriever.top_k, pipeline.stages[0].min_score)


# -- writing ------------------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(
        [
            "on",
            "No",
            "null",
            "~",
            "1e3",
            "0x1",
            "1_0",
            "- a",
            "a: b",
            "#",
            "${HOME}",
            "$$",
            "$${A:-b}",
            "2001-01-01",
            "=",
            "<<",
            "\x85",
            "\u2028",
            "\ufeff",
            "\t",
            " a ",
            "'",
            '"',
            "a\n\n b",
            "!!x",
            "*a",
            "&a",
            "@",
            "%a",
            "|",
        ]
    )  # fmt: skip
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(
    st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=4).filter(lambda values: "extends" not in values)
)
def test_whatever_is_written_is_read_again(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    file.write_text(dump(value), encoding="utf-8", newline="")
    assert value == plain(file)


@given(VALUES)
def test_nodes_of_python_values_are_those_values(value):
    assert value == node_from_python(value).plain()


@pytest.mark.parametrize("name", sorted(file.name for file in CONFIGS.glob("*.yaml")))
def test_our_own_configurations_are_right_and_complete_ones_give_the_same_tree(name, tmp_path):
    pipeline = Pipeline.from_yaml(CONFIGS / name)
    (tmp_path / "resolved.yaml").write_text(pipeline.to_yaml(), encoding="utf-8")
    again = Pipeline.from_yaml(tmp_path / "resolved.yaml")
    assert pipeline.fingerprint == again.fingerprint
    assert pipeline.to_yaml() == again.to_yaml()
    for _, part in again.spec.walk():
        assert set(part.spec.parameters) | {"type"} == set(part.spec.to_config())


def test_variables_inside_flow_mappings(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_TEST_K", "7")
    path = tmp_path / "p.yaml"
    path.write_text(
        "type: pipeline\n"
        "retriever: {type: bm25, top_k: ${RAG_TEST_K}, k1: ${RAG_TEST_NONE:-1.5}, "
        "stopwords: [a, '${RAG_TEST_NONE:-x, y}']}\n"
    )
    bm25 = Pipeline.from_yaml(path).retriever
    assert (7, 1.5, ["a", "x, y"]) == (bm25.top_k, bm25.k1, bm25.stopwords)
    path.write_text("type: pipeline\nretriever: {type: bm25, top_k: ${RAG_TEST_K}, b: ${RAG_TEST_NONE:-2}}\n")
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path)
    assert str(caught.value) == f"{path}:2:50: retriever.b: must be less than or equal to 1, got 2"
