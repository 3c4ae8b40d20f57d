"""How many threads a forward pass may use."""

from __future__ import annotations

import functools
import os
from pathlib import Path

__all__ = ["settle_threads", "usable_cores"]

_QUOTAS = ("cpu.max", "cpu/cpu.cfs_quota_us")
"""Below the folder of control groups, of their second and first version: what a container sees of its own share."""


def usable_cores(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may keep busy, at least 1: those it is bound to, or the share of time that its container
    has.

    Args:
        groups: Where Linux shows control groups.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, int(_share(groups) or bound)))


def _share(groups: Path) -> float | None:
    """Cores' worth of time that a container may take; None for no limit."""
    for name in _QUOTAS:
        try:
            words = (groups / name).read_text(encoding="ascii").split()
            if len(words) == 1:
                words += (groups / name).with_name("cpu.cfs_period_us").read_text(encoding="ascii").split()
            quota, period = (float(word) for word in words)
        except (OSError, ValueError):  # no such group, or "max"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


@functools.cache
def settle_threads() -> None:
    """Have torch use no more threads than there are cores to use, once in a process. It counts the machine's, and in a
    container with a share of them its threads would wait for each other. ``OMP_NUM_THREADS`` and
    ``MKL_NUM_THREADS`` are left as they are set.
    """
    if os.environ.get("OMP_NUM_THREADS") or os.environ.get("MKL_NUM_THREADS"):
        return
    import torch

    if torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())
