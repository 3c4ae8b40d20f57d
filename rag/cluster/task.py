"""A task of a Ray cluster that is watched as a process of this machine is."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["RayTask"]


class RayTask:
    """A call that is made on a worker, with the interface of :class:`multiprocessing.Process`.

    Args:
        ray: The module.
        reference: The call.
    """

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference
        self.exitcode: int | None = None
        self.reason = ""

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        if self.exitcode is None:
            ready, _ = self._ray.wait([self._reference], timeout=0)
            if ready:
                self._end()
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        if self.exitcode is None and self._ray.wait([self._reference], timeout=timeout)[0]:
            self._end()

    def terminate(self) -> None:
        """End it."""
        with contextlib.suppress(Exception):
            self._ray.cancel(self._reference, force=True)

    kill = terminate

    def _end(self) -> None:
        try:
            self._ray.get(self._reference)
            self.exitcode = 0
        except Exception as error:  # of the call, or of a worker that is gone
            self.exitcode = 1
            said = str(getattr(error, "cause", None) or error).strip().partition("\n")[0]
            self.reason = said.partition(". Node IP")[0]  # Ray goes on with advice about its dashboard
