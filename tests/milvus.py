"""A Milvus server of our own: milvus-lite, in a process of its own. It speaks the same API; of a cluster's speed and
consistency it says nothing.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class MilvusLite:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(self.folder / "data")]
                + ["--host", "127.0.0.1", "--port", str(self.port)],
                stdout=log,
                stderr=log,
            )
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("milvus-lite did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def client(self):
        from pymilvus import MilvusClient

        return MilvusClient(uri=self.uri, timeout=10)


@contextmanager
def milvus_server() -> Iterator[MilvusLite]:
    for package in ("pymilvus", "milvus_lite"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("needs a Milvus server: pip install pymilvus milvus-lite")
    with tempfile.TemporaryDirectory() as name:
        server = MilvusLite(Path(name))
        try:
            yield server
        finally:
            server.stop()
