"""Every mistake of a file, in one run, exactly where it is."""

from __future__ import annotations

import textwrap

import pytest

from rag import ConfigError, Pipeline
from rag.registry import types_of

STAGES = ", ".join(sorted(types_of("stage")))
BM25_ARGUMENTS = "b, delta, k1, language, lowercase, preset, stemmer, stopwords, token_pattern, top_k, variant"
RETRIEVERS = ", ".join(sorted(types_of("retriever")))


@pytest.fixture
def mistakes(tmp_path):
    """The messages about a file, without its folder."""

    def of(text, *overrides):
        file = tmp_path / "p.yaml"
        file.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        with pytest.raises(ConfigError) as caught:
            Pipeline.from_yaml(file, overrides=overrides)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return of


def test_every_mistake_is_told_in_one_run(mistakes):
    told = mistakes(
        """\
        type: pipeline
        chunker: {type: recursive, size: 0, unit: words}
        retriever:
          type: hybrid
          fusion: {type: rrf, K: 60}
          retrievers:
            - {type: bm25, k1: high}
            - type: dense
              index: {type: hnws}
              top_k: 1.5
            - threshold
          weights: [1, -1, 1]
        stages:
          - {type: bm25}
          - {type: threshold, top_k: 5, top_k: 6}
          - {budget: 5}
        extra: 1
        """
    )
    assert told == [
        "p.yaml:2:34: chunker.size: must be greater than or equal to 1, got 0",
        "p.yaml:2:43: chunker.unit: must be 'tokens' or 'characters', got 'words'",
        "p.yaml:5:23: retriever.fusion: unknown argument 'K' of 'rrf'; did you mean 'k'? (valid: k)",
        "p.yaml:7:24: retriever.retrievers.0.k1: must be a valid number, got 'high'",
        "p.yaml:8:7: retriever.retrievers.1: missing argument 'embedder' of 'dense'",
        "p.yaml:9:21: retriever.retrievers.1.index: unknown index 'hnws'; did you mean 'hnsw'? "
        "(valid: auto, factory, flat, hnsw, ivf_fastscan, ivf_flat, ivf_pq, lsh, milvus, nsg, pgvector, "
        "rabitq, scalar_quantized, sharded, truncate, window_tree)",
        "p.yaml:10:14: retriever.retrievers.1.top_k: must be a valid integer, got 1.5",
        "p.yaml:11:7: retriever.retrievers.2: expected a retriever, a mapping such as {type: bm25}, got 'threshold'",
        "p.yaml:12:16: retriever.weights.1: must be greater than or equal to 0, got -1",
        f"p.yaml:14:12: stages.0: unknown stage 'bm25' ('bm25' is a retriever) (valid: {STAGES})",
        "p.yaml:15:33: stages.1: duplicate key 'top_k', first given in line 15",
        f"p.yaml:16:5: stages.2: missing 'type': which stage is it? (valid: {STAGES})",
        "p.yaml:17:1: unknown argument 'extra' of 'pipeline' (valid: chunker, retriever, sorted_by, stages)",
    ]


BM = "type: pipeline\nretriever: {type: bm25"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"{BM}, topk: 5}}\n",
            [
                "p.yaml:2:25: retriever: unknown argument 'topk' of 'bm25'; did you mean 'top_k'? "
                f"(valid: {BM25_ARGUMENTS})"
            ],
            id="unknown key",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: bm52}\n",
            [f"p.yaml:2:19: retriever: unknown retriever 'bm52'; did you mean 'bm25'? (valid: {RETRIEVERS})"],
            id="unknown type",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: threshold}\n",
            [f"p.yaml:2:19: retriever: unknown retriever 'threshold' ('threshold' is a stage) (valid: {RETRIEVERS})"],
            id="wrong kind",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: [bm25]}\n",
            ["p.yaml:2:19: retriever: 'type' must be a name, got a list of 1"],
            id="type is a list",
        ),
        pytest.param(
            "type: pipeline\nretriever: bm25\n",
            ["p.yaml:2:12: retriever: expected a retriever, a mapping such as {type: bm25}, got 'bm25'"],
            id="no mapping",
        ),
        pytest.param(
            "type: pipeline\nretriever:\n",
            ["p.yaml:2:1: retriever: expected a retriever, a mapping such as {type: bm25}, got None"],
            id="nothing",
        ),
        pytest.param(
            f"{BM}}}\nstages: {{type: threshold}}\n",
            ["p.yaml:3:9: stages: expected a list of components of kind 'stage', got a mapping with type"],
            id="no list",
        ),
        pytest.param(
            "type: pipeline\nretriever:\n  type: dense\n  embedder: {type: lsa}\nstages:\n- type: rerank\n"
            "  scorer: {type: max_sim, embedder: {type: lsa}}\n",
            ["p.yaml:7:44: stages.0.scorer.embedder: expected a TokenEmbedder, and 'lsa' is not one"],
            id="right kind, wrong contract",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: hybrid, retrievers: [{type: bm25}]}\n",
            ["p.yaml:2:39: retriever.retrievers: must have at least 2 items, not 1, got [BM25()]"],
            id="too few",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: hybrid, retrievers: [{type: bm25}, {type: bm25}],\n  weights: [0, 0]}\n",
            ["p.yaml:3:12: retriever.weights: at least one weight must be above 0"],
            id="a rule of the constructor",
        ),
        pytest.param(
            f"{BM}}}\nchunker: {{type: recursive, size: 5, overlap: 5}}\n",
            ["p.yaml:3:46: chunker.overlap: must be less than size (5), got 5"],
            id="a rule between two arguments",
        ),
        pytest.param(
            f"{BM}}}\nchunker: {{type: recursive}}\n",
            [
                "p.yaml:3:10: chunker: chunker 'recursive' counts in tokens, but no embedder of this pipeline has any: "
                "set its unit to characters"
            ],
            id="a rule of the pipeline",
        ),
        pytest.param("a: 1\n", ["p.yaml:1:1: missing 'type': which pipeline is it? (valid: pipeline)"], id="no type"),
        pytest.param(
            "type: pipeline\n", ["p.yaml:1:1: missing argument 'retriever' of 'pipeline'"], id="missing argument"
        ),
        pytest.param(
            "- 1\n", ["p.yaml:1:1: expected a pipeline, a mapping such as {type: pipeline}, got a list of 1"], id="list"
        ),
        pytest.param(
            "~\n", ["p.yaml:1:1: expected a pipeline, a mapping such as {type: pipeline}, got None"], id="null"
        ),
        pytest.param("", ["p.yaml: the file is empty"], id="empty"),
        pytest.param("# only a comment\n", ["p.yaml: the file is empty"], id="only a comment"),
        pytest.param(
            "type: pipeline\nretriever: {type: bm25\n",
            ["p.yaml:3:1: not valid YAML: expected ',' or '}', but got '<stream end>'; while parsing a flow mapping"],
            id="bad YAML",
        ),
        pytest.param(
            "type: pipeline\nretriever:\n\ttype: bm25\n",
            [
                "p.yaml:3:1: not valid YAML: found character '\\t' that cannot start any token; "
                "while scanning for the next token"
            ],
            id="tab",
        ),
        pytest.param(
            f"{BM}}}\n---\n{BM}}}\n",
            ["p.yaml:3:1: not valid YAML: but found another document; expected a single document in the stream"],
            id="two documents",
        ),
        pytest.param(
            "type: \x01\n", ["p.yaml:1:7: not valid YAML: the character '\\x01' is not allowed"], id="control"
        ),
        pytest.param(b"type: pipe\xffline\n", ["p.yaml: not valid UTF-8 at byte 10"], id="invalid UTF-8"),
        pytest.param("[" * 1_000, ["p.yaml: not valid YAML: nested too deeply"], id="deep nesting"),
        pytest.param(
            "type: pipeline\nretriever: !!python/object/apply:os.system ['true']\n",
            ["p.yaml:2:12: retriever: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed"]
            + ["p.yaml:2:12: retriever: expected a retriever, a mapping such as {type: bm25}, got a list of 1"],
            id="tag on a list",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: !mine bm25}\n",
            ["p.yaml:2:19: retriever.type: the tag !mine is not allowed"]
            + ["p.yaml:2:19: retriever: 'type' must be a name, got None"],
            id="tag on a scalar",
        ),
        pytest.param(
            f"{BM}}}\nstages: !!set {{}}\n",
            ["p.yaml:3:9: stages: the tag tag:yaml.org,2002:set is not allowed"]
            + ["p.yaml:3:9: stages: expected a list of components of kind 'stage', got a mapping with nothing"],
            id="tag on a mapping",
        ),
        pytest.param(
            "base: &base {type: bm25}\n",
            ["p.yaml:1:1: missing 'type': which pipeline is it? (valid: pipeline)"],
            id="anchor without use",
        ),
        pytest.param(
            "type: pipeline\nretriever:\n  <<: {type: bm25}\n  type: bm25\n",
            ["p.yaml:3:3: retriever: merge keys (<<) are not supported: use 'extends', or repeat the keys"],
            id="merge key",
        ),
        pytest.param(
            "type: pipeline\nretriever: {type: bm25, ? [a] : 1}\n",
            ["p.yaml:2:27: retriever: a key must be a plain name"],
            id="key that is a list",
        ),
        pytest.param(
            "type: pipeline\nretriever: &r {type: hybrid, retrievers: [*r, *r]}\n",
            [
                "p.yaml:2:12: retriever.retrievers.0: the alias contains itself",
                "p.yaml:2:12: retriever.retrievers.1: the alias contains itself",
                "p.yaml:2:12: retriever.retrievers.0: expected a retriever, a mapping such as {type: bm25}, got None",
                "p.yaml:2:12: retriever.retrievers.1: expected a retriever, a mapping such as {type: bm25}, got None",
            ],
            id="alias of itself",
        ),
        pytest.param(
            f"{BM}, k1: .nan, b: .inf}}\n",
            [
                "p.yaml:2:29: retriever.k1: must be a finite number, got nan",
                "p.yaml:2:38: retriever.b: must be a finite number, got inf",
            ],
            id="not finite",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(mistakes, text, expected):
    assert mistakes(text) == expected


def test_aliases_that_multiply_each_other_are_stopped(mistakes):
    lines = ["type: pipeline", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    told = mistakes("\n".join(lines))
    assert sum("expands to more than 100000 values" in line for line in told) == 1


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(tmp_path / "no.yaml")
    assert str(caught.value) == f"{tmp_path}/no.yaml: cannot be read: No such file or directory"
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_mapping_has_no_places_but_paths():
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_config({"type": "pipeline", "retriever": {"type": "bm25", "topk": 5, "b": 2}, "stages": [3]})
    assert str(caught.value).splitlines() == [
        f"retriever: unknown argument 'topk' of 'bm25'; did you mean 'top_k'? (valid: {BM25_ARGUMENTS})",
        "retriever.b: must be less than or equal to 1, got 2",
        "stages.0: expected a stage, a mapping such as {type: adacur}, got 3",
    ]
    assert [mistake.location and mistake.location.line or None for mistake in caught.value.mistakes] == [None] * 3


def test_overrides_that_are_wrong_name_the_option(mistakes):
    told = mistakes(
        f"{BM}}}\nstages: [{{type: threshold}}]\n",
        "retriever.top_k=many",
        "retriever.topk=5",
        "retreiver.top_k=5",
        "stages.3.top_k=5",
        "stages.x.top_k=5",
        "type.name=5",
        "retriever.b=[1",
        "nonsense",
        "=5",
    )
    assert set(told) == {
        "--set retriever.top_k=many: retriever.top_k: must be a valid integer, got 'many'",
        f"--set retriever.topk=5: retriever: unknown argument 'topk' of 'bm25'; did you mean 'top_k'? "
        f"(valid: {BM25_ARGUMENTS})",
        "--set retreiver.top_k=5: unknown argument 'retreiver' of 'pipeline'; did you mean 'retriever'? "
        "(valid: chunker, retriever, sorted_by, stages)",
        "--set stages.3.top_k=5: stages.3.top_k: '3' is not an item of the list, which has 1 (numbered from 0)",
        "--set stages.x.top_k=5: stages.x.top_k: 'x' is not an item of the list, which has 1 (numbered from 0)",
        "--set type.name=5: type.name: there is nothing below it to set 'name' in: it is 'pipeline'",
        "--set retriever.b=[1: not valid YAML: expected ',' or ']', but got '<stream end>'; "
        "while parsing a flow sequence",
        "--set nonsense: must be PATH=VALUE, such as retriever.top_k=50",
        "--set =5: must be PATH=VALUE, such as retriever.top_k=50",
    }
    assert len(told) == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{type: bm25, stopwords: no}", "2:36: retriever.stopwords: got no, and that is a text: for nothing write nu"),
        ("{type: bm25, stopwords: OFF}", "2:36: retriever.stopwords: got OFF, and that is a text: for nothing write "),
        ("{type: bm25, stopwords: none}", "2:36: retriever.stopwords: got none, and that is a text: for nothing write"),
        ("{type: bm25, stopwords: false}", "2:36: retriever.stopwords: got false, and that is a text: for nothing "),
        ("{type: bm25, stemmer: no}", "2:34: retriever.stemmer: got no, and that is a text: for nothing write nu"),
        ("{type: bm25, lowercase: yes}", "2:36: retriever.lowercase: must be true or false, got 'yes'"),
        ("{type: bm25, variant: off}", "2:34: retriever.variant: must be 'lucene', 'robertson', 'atire', 'bm25l' or "),
        (
            "{type: dense, embedder: {type: sentence_transformer, model: no}}",
            '2:72: retriever.embedder.model: got no, which may mean a truth value; as a text put it in quotes: "no"',
        ),
    ],
)
def test_words_that_may_mean_nothing_are_refused_where_a_text_is_meant(mistakes, text, expected):
    (told,) = mistakes(f"type: pipeline\nretriever: {text}\n")
    assert told[: len(expected) + 7] == f"p.yaml:{expected}"


def test_quoted_words_are_what_they_are_and_so_are_words_that_an_argument_lists(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text('type: pipeline\nretriever: {type: bm25, stopwords: "no"}\n')
    pipeline = Pipeline.from_yaml(file)
    assert pipeline.retriever.stopwords == "no"
    (tmp_path / "again.yaml").write_text(pipeline.to_yaml())
    assert pipeline.fingerprint == Pipeline.from_yaml(tmp_path / "again.yaml").fingerprint
    file.write_text("type: pipeline\nretriever: {type: bm25, stopwords: [no, off]}\n")
    assert Pipeline.from_yaml(file).retriever.stopwords == ["no", "off"]
