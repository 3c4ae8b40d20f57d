"""A store that machines share. Two folders stand for machines; the bucket is a folder, which takes the same calls."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from rag import ArtifactError, ConfigError, ServerError
from rag.store.opening import store_at
from rag.store.shared import Bucket, SharedStore, pull, push
from rag.store.shared import lease as leases
from rag.store.store import Store

pytest.importorskip("obstore", reason="needs obstore: pip install 'rag-pipelines[s3]'")


@pytest.fixture
def bucket(tmp_path) -> Bucket:
    return Bucket(f"file://{tmp_path}/bucket")


def machine(bucket: Bucket, root: Path, **arguments) -> SharedStore:
    return SharedStore(bucket.url, root=root, **arguments)


def make(text: str, calls: list | None = None):
    def write(folder: Path):
        if calls is not None:
            calls.append(text)
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_text(text)
        (folder / "b").write_text(text * 3)

    return write


def filled(root: Path) -> Store:
    with Store(root) as store:
        for number in range(3):
            store.artifact("index", f"key{number}", make(f"text{number}"), description=f"index {number}")
        store.cache("embeddings", "model", description="vectors").put([(b"a", b"1"), (b"b", b"2")], seconds=0.5)
    return store


def values(store: Store, *keys: bytes) -> dict[bytes, bytes]:
    return store.cache("embeddings", "model", description="vectors").get(keys)


# -- push and pull -------------------------------------------------------------------------------------------------


def test_a_pushed_store_is_pulled_whole(tmp_path, bucket):
    with filled(tmp_path / "a") as store:
        first, second = push(store, bucket), push(store, bucket)
    assert (first.artifacts, first.values, first.there) == (3, 2, 0)
    assert (second.artifacts, second.values, second.there) == (0, 0, 3)
    with Store(tmp_path / "b") as other:
        assert (done := pull(bucket, other)).artifacts == 3
        assert done.values == 2
        assert pull(bucket, other).there == 3
        assert other.verify() == []
        assert {entry.about for entry in other.entries()} == {"index 0", "index 1", "index 2", "vectors"}
        assert values(other, b"a", b"b") == {b"a": b"1", b"b": b"2"}
        other.cache("embeddings", "model", description="vectors").put([(b"c", b"3")])
        assert push(other, bucket).values == 1
    with Store(tmp_path / "a") as store:
        assert push(store, bucket).values == 0
        assert values(store, b"c") == {b"c": b"3"}


def test_what_was_interrupted_goes_on(tmp_path, bucket, monkeypatch):
    written = []
    write = Bucket.write

    def stopped(self, name, content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(name)
        write(self, name, content)

    with filled(tmp_path / "a") as store:
        monkeypatch.setattr(Bucket, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            push(store, bucket)
        assert bucket.names("artifacts").keys() >= set(written)
        monkeypatch.undo()
        assert push(store, bucket).artifacts == 2
    fetched = []
    download = Bucket.download

    def counted(self, name, path):
        if len(fetched) == 3:
            raise KeyboardInterrupt
        fetched.append(name)
        download(self, name, path)

    with Store(tmp_path / "b") as other:
        monkeypatch.setattr(Bucket, "download", counted)
        with pytest.raises(KeyboardInterrupt):
            pull(bucket, other)
        monkeypatch.undo()
        assert other.verify() == []
        assert len(list(other.entries())) == 1
        pull(bucket, other)
        assert other.verify() == []
        assert len(list(other.entries())) == 4


def test_damage_is_found_on_both_sides(tmp_path, bucket):
    with filled(tmp_path / "a") as store:
        (file,) = (tmp_path / "a").glob("artifacts/index/key0/data-*/b")
        content = file.read_text()
        file.write_text("x" * len(content))
        with pytest.raises(ArtifactError, match="the checksum of b is wrong"):
            push(store, bucket)
        file.write_text(content)
        push(store, bucket)
    name = next(name for name in bucket.names("artifacts/index/key1") if name.endswith("/b"))
    bucket.write(name, b"y" * 15)
    with Store(tmp_path / "b") as other:
        with pytest.raises(ArtifactError, match="its checksum is not that of the manifest"):
            pull(bucket, other)
        assert not other.has("index", "key1")
        bucket.write(name, b"text1" * 3)
        pull(bucket, other)
        (part,) = bucket.names("values")
        bucket.write(part, b"no parquet")
    with Store(tmp_path / "c") as third, pytest.raises(ArtifactError, match=r"\.parquet"):
        pull(bucket, third)
    bucket.write("artifacts/index/bad/manifest.json", json.dumps({"data": "d", "files": {"../../x": {}}}).encode())
    with Store(tmp_path / "c") as third, pytest.raises(ArtifactError, match=r"manifest\.json is damaged"):
        pull(bucket, third)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://x/y", "must be s3://BUCKET/PREFIX"),
        ("s3://", "must be s3://BUCKET/PREFIX"),
        ("s3://key:s3cret@bucket/x", "credentials come from the environment"),
    ],
)
def test_addresses_that_are_none(url, message):
    with pytest.raises(ConfigError, match=message) as error:
        store_at(url)
    assert "s3cret" not in str(error.value)


def test_a_file_in_place_of_the_bucket(tmp_path):
    (tmp_path / "bucket").write_text("")
    with pytest.raises(ServerError, match="bucket"):
        machine(Bucket(f"file://{tmp_path}/bucket"), tmp_path / "a")


# -- one store for all ---------------------------------------------------------------------------------------------


def test_what_one_machine_made_the_others_find(tmp_path, bucket):
    calls: list[str] = []
    with machine(bucket, tmp_path / "a") as first:
        first.artifact("index", "key", make("text", calls), description="an index")
        cache = first.cache("embeddings", "model", description="vectors")
        assert cache.fill([b"a", b"b"], lambda missing: [[(n, b"v%d" % n) for n in missing]]).n_computed == 2
    with machine(bucket, tmp_path / "b") as second:
        assert second.has("index", "key")
        folder = second.artifact("index", "key", make("text", calls), description="an index")
        assert (folder / "deep" / "a").read_text() == "text"
        cache = second.cache("embeddings", "model", description="vectors")
        assert cache.fill([b"b", b"c"], lambda missing: [[(n, b"new") for n in missing]]).n_computed == 1
    with machine(bucket, tmp_path / "c", mode="only") as third:
        assert third.artifact("index", "key", make("text", calls), description="").is_dir()
        cache = third.cache("embeddings", "model", description="vectors")
        assert cache.get([b"a", b"b", b"c"]) == {b"a": b"v0", b"b": b"v1", b"c": b"new"}
        with pytest.raises(ArtifactError, match="nothing may be computed"):
            third.artifact("index", "other", make("x"), description="")
    assert calls == ["text"]


def test_values_that_were_only_put_are_shared_when_the_store_is_closed(tmp_path, bucket):
    with machine(bucket, tmp_path / "a") as first:
        first.cache("candidates", "bm25", description="lists").put([(b"q", b"list")])
    with machine(bucket, tmp_path / "b") as second:
        assert second.cache("candidates", "bm25", description="lists").get([b"q"]) == {b"q": b"list"}


def test_a_damaged_artifact_is_computed_again(tmp_path, bucket, caplog):
    with machine(bucket, tmp_path / "a") as first:
        first.artifact("index", "key", make("text"), description="an index")
    name = next(name for name in bucket.names("artifacts") if name.endswith("/b"))
    bucket.write(name, b"z" * 12)
    with machine(bucket, tmp_path / "b") as second:
        folder = second.artifact("index", "key", make("text"), description="an index")
        assert (folder / "b").read_text() == "text" * 3
    assert "it is computed again" in caplog.text


def test_several_machines_make_a_thing_once(tmp_path, bucket, monkeypatch):
    monkeypatch.setattr(leases, "LOOK", 0.02)
    calls: list[str] = []
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with machine(bucket, tmp_path / str(number)) as store:
                for key in ("one", "two", "three"):
                    store.artifact("index", key, make(key, calls), description="an index")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []
    assert sorted(calls) == ["one", "three", "two"]


def test_what_a_dead_machine_was_making_is_taken_over(bucket, monkeypatch, caplog):
    monkeypatch.setattr(leases, "LOOK", 0.02)
    monkeypatch.setattr(leases, "PATIENCE", 0.2)
    bucket.write("leases/key/00000007", json.dumps({"beat": 3}).encode())
    with leases.leased(bucket, "key"):
        assert list(bucket.names("leases/key")) == ["leases/key/00000008"]
    assert "waiting for another machine" in caplog.text
    with leases.leased(bucket, "key"):
        assert list(bucket.names("leases/key")) == ["leases/key/00000009"]


def test_a_holder_that_is_alive_is_waited_for(bucket, monkeypatch):
    monkeypatch.setattr(leases, "LOOK", 0.02)
    monkeypatch.setattr(leases, "BEAT", 0.05)
    monkeypatch.setattr(leases, "PATIENCE", 0.4)
    order = []
    inside = threading.Event()

    def hold() -> None:
        with leases.leased(bucket, "key"):
            inside.set()
            threading.Event().wait(1.0)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    with leases.leased(bucket, "key"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


# -- a server of S3 ------------------------------------------------------------------------------------------------


@pytest.fixture
def s3(monkeypatch, tmp_path):
    """Moto's server in a process of its own, with a bucket."""
    import shutil
    import socket
    import subprocess
    import time
    import urllib.request

    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("needs a server of S3: pip install 'moto[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with (
        open(tmp_path / "moto.log", "w") as log,
        subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(urllib.request.Request(f"{address}/shared", method="PUT"), timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield Bucket("s3://shared/of/us")
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_server_of_s3(tmp_path, s3, monkeypatch):
    with filled(tmp_path / "a") as store:
        assert push(store, s3).artifacts == 3
        assert push(store, s3).there == 3
    with Store(tmp_path / "b") as other:
        assert pull(s3, other).values == 2
        assert other.verify() == []
    assert s3.write_new("once", b"1")
    assert not s3.write_new("once", b"2")
    assert s3.read("once") == b"1"
    test_what_one_machine_made_the_others_find(tmp_path / "c", Bucket("s3://shared/c"))
    test_several_machines_make_a_thing_once(tmp_path / "d", Bucket("s3://shared/d"), monkeypatch)
    with pytest.raises(ServerError) as error:
        Bucket("s3://nobodys/x").names("artifacts")
    assert "s3cret" not in str(error.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(ServerError, match="cannot be listed") as error:
        machine(Bucket("s3://shared/x"), tmp_path / "e")
    assert "s3cret" not in str(error.value)
