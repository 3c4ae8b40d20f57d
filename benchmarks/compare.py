"""How often the paired tests see a difference where there is none, and how long a comparison takes.

    python benchmarks/compare.py RUN RUN               # folders that `rag eval` wrote, of the same queries

There is no difference when a coin says for each query which run its value belongs to: that is done 2,000 times with
queries of the two runs, drawn with replacement, on the first two measures. A test at the 5 % level should see a
difference in 5 % of them. Prints Markdown.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from rag.eval import RunValues, compare_runs, read_run_values
from rag.eval.comparison.significance import TESTS

SIMULATIONS = 2_000
SIZES = (25, 50, 300)


def main(baseline: Path, other: Path) -> None:
    first, second = read_run_values(baseline, name="baseline"), read_run_values(other, name="other")
    measures = [measure for measure in first.values if measure in second.values][:2]
    rng = np.random.default_rng(0)
    print("| measure | queries | " + " | ".join(TESTS) + " |")
    print("|---" * (2 + len(TESTS)) + "|")
    for measure in measures:
        queries = [query for query in first.values[measure] if query in second.values[measure]]
        difference = np.array([second.values[measure][q] - first.values[measure][q] for q in queries])
        for n in SIZES:
            drawn = difference[rng.integers(len(difference), size=(n, SIMULATIONS))]
            null = drawn * rng.choice([-1.0, 1.0], size=drawn.shape)
            cells = [f"{100 * (test(null) < 0.05).mean():.1f} %" for test in TESTS.values()]
            print(f"| {measure} | {n} | " + " | ".join(cells) + " |", flush=True)
    runs = [
        RunValues(f"run {number}", {m: {f"q{q}": float(rng.random()) for q in range(300)} for m in "ABCDE"})
        for number in range(8)
    ]
    start = time.perf_counter()
    comparisons = compare_runs(runs)
    seconds = time.perf_counter() - start
    print(f"\n8 runs, 300 queries, 5 measures: {len(comparisons.pairs)} comparisons in {seconds:.1f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
