"""Applications over real sockets, in a thread of the test's own process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rag.serving import Limits
from rag.serving.server import listen, make_server

__all__ = ["serving"]


@contextmanager
def serving(app: Any, limits: Limits | None = None) -> Iterator[str]:
    """The address under which an application is served meanwhile."""
    listening = listen("127.0.0.1", 0)
    server = make_server(app, limits or Limits())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
