"""Does early stopping keep the choice, and what does it save? Replay of real sweeps, query by query.

    python benchmarks/sweep_early_stopping.py WORK/scifact WORK/nfcorpus ... [--seeds 100] [--risk 0.05]

Each folder is the output of a sweep (`rag tune --out`, or what sweep_worth_it.py kept in WORK). For each seed its
trials come in another order, its queries in other blocks, and trials are stopped as `early_stopping` does. Prints
Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import optuna

from rag.hpo.execution.early_stopping import blocks, hopeless
from rag.hpo.execution.storage import open_storage
from rag.hpo.execution.trials import unpacked


def scores(folder: Path) -> np.ndarray:
    """nDCG@10 by trial and query."""
    storage = open_storage(None, folder)
    name = optuna.get_all_study_names(storage)[-1]
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    packed = {
        trial.user_attrs["config"]: trial.user_attrs["measured"]["values"]["nDCG@10"]
        for trial in trials
        if trial.state.name == "COMPLETE" and "measured" in trial.user_attrs
    }
    return np.stack([unpacked(text) for text in packed.values()])


def replay(values: np.ndarray, seed: int, risk: float) -> tuple[int, float, int]:
    """The trial chosen, the share of query evaluations made, and how many trials were stopped."""
    rng = np.random.default_rng(seed)
    n = values.shape[1]
    queries = rng.permutation(n)
    ends = blocks(n)
    best, done, stopped = -1, 0, 0
    for trial in rng.permutation(len(values)):
        for end in ends:
            seen = end
            if best >= 0 and end < n:
                gain = (values[trial] - values[best])[queries[:end]]
                if hopeless([[gain]], n, risk=risk, looks=len(ends) - 1):
                    stopped += 1
                    break
        else:
            if best < 0 or values[trial].mean() > values[best].mean():
                best = int(trial)
        done += seen
    return best, done / values.size, stopped


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--risk", type=float, default=0.05)
    arguments = parser.parse_args()
    print("| sweep | trials | queries | same choice | mean loss of the choice | query evaluations saved | stopped |")
    print("|---|---|---|---|---|---|---|")
    for folder in arguments.folders:
        values = scores(folder)
        means = values.mean(axis=1)
        replays = [replay(values, seed, arguments.risk) for seed in range(arguments.seeds)]
        same = np.mean([means[chosen] == means.max() for chosen, *_ in replays])
        loss = np.mean([means.max() - means[chosen] for chosen, *_ in replays])
        saved = 1 - np.mean([share for _, share, _ in replays])
        stopped = np.mean([count for *_, count in replays])
        print(f"| {folder.name} | {len(values)} | {values.shape[1]} | {same:.0%} of {arguments.seeds} | {loss:.5f} "
              f"| {saved:.0%} | {stopped:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
