"""Nothing in the tests asks the network; property tests are the same every time and have no deadline."""

from __future__ import annotations

import functools
import gc
import os
import uuid

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers of pytest-xdist are as many as there are cores

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

import pytest
from hypothesis import HealthCheck, settings

from tests.milvus import MilvusLite, milvus_server
from tests.postgres import PostgresServer, postgres_server

settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))


@pytest.fixture(autouse=True, scope="session")
def _own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands keep things in a store of the tests, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAG_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_disks() -> Iterator[None]:
    """No test takes the power away; ten thousand syncs of files would cost minutes on a slow disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_components() -> Iterator[None]:
    """Lists of what exists are those of this project, whatever plug-ins are installed beside it."""
    import rag.registry

    @functools.cache
    def ours(group: str) -> list[EntryPoint]:
        return [
            entry
            for entry in entry_points(group=group)
            if entry.dist is not None and entry.dist.name == "rag-pipelines"
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rag.registry, "entry_points", ours)
        rag.registry._entries.cache_clear()
        yield
    rag.registry._entries.cache_clear()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with pgvector; each process of the tests that needs one starts its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def milvus() -> Iterator[MilvusLite]:
    """A server of milvus-lite; each process of the tests that needs one starts its own."""
    with milvus_server() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an environment variable with the URL of an empty schema, as pipelines name it."""
    schema = f"s{uuid.uuid4().hex[:12]}"
    postgres.execute(f"create schema {schema}")
    monkeypatch.setenv("RAG_TEST_DATABASE", postgres.url(schema=schema))
    monkeypatch.setenv("RAG_TEST_SCHEMA", schema)
    yield "${RAG_TEST_DATABASE}"
    gc.collect()  # closes connections
    postgres.execute(f"drop schema {schema} cascade")
