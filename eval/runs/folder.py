"""The run folder: an evaluation as files for other tools.

===================== ==============================================================================================
``config.yaml``       the pipeline with all defaults written out
``run.trec``          the results, in TREC's six columns
``per_query.parquet`` one row per judged query: its values, results and expected documents
``metrics.json``      means with intervals, latency, costs, versions
``report.html``       the report, one self-contained HTML file
===================== ==============================================================================================
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rag.eval.measures.values import Run
from rag.eval.outcome import Outcome
from rag.eval.runs.query_table import query_table
from rag.metadata import strict_json
from rag.store.writing import check_place, replaced_folder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_run"]

_FILES = {"config.yaml", "metrics.json", "per_query.parquet", "report.html", "run.trec"}


def write_run(evaluation: Outcome, folder: Path) -> Path:
    """Write the run folder atomically, replacing an earlier run.

    Raises:
        ArtifactError: The folder has other content, or cannot be written.
    """
    from rag.eval.reports.report import write_report

    folder = folder.resolve()
    check_target(folder)
    with replaced_folder(folder) as aside:
        (aside / "config.yaml").write_text(evaluation.pipeline.to_yaml(), encoding="utf-8")
        (aside / "run.trec").write_text(_trec(evaluation.run), encoding="utf-8")
        (aside / "metrics.json").write_text(
            json.dumps(strict_json(evaluation.metrics), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        _write_parquet(query_table(evaluation), aside / "per_query.parquet")
        write_report(aside)
    return folder


def check_target(folder: Path) -> None:
    """Refuse to write a run over other files.

    Raises:
        ArtifactError: The path is a file, or a folder with other content than a run.
    """
    check_place(folder, "run", lambda names: names - _FILES if "metrics.json" in names else names)


def _trec(run: Run) -> str:
    lines = []
    for query, scores in run.items():
        # Ids are written literally, except for white space, which separates columns.
        for rank, (document, score) in enumerate(scores.items(), 1):
            lines.append(f"{_token(query)} Q0 {_token(document)} {rank} {score!r} rag\n")
    return "".join(lines)


def _token(id: str) -> str:
    return quote(id, safe="".join(c for c in id if not c.isspace() and c != "%")) if _has_space(id) else id


def _has_space(id: str) -> bool:
    return any(c.isspace() for c in id)


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    # A passage occurs in the lists of several stages and queries; an unbounded dictionary stores it once per file.
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=1 << 30)
