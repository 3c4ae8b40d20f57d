"""The routes: what they answer, and what they refuse."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rag import LSA, ConfigError, Document, NotFittedError, Pipeline, Query, Training
from rag.retrievers import BM25, QueryMemory
from rag.serving import Keys, Limits, create_app

DOCUMENTS = [
    Document("a", "apples are red", {"year": 1990, "lang": "en", "title": "Fruit"}),
    Document("b/../c", "bananas are yellow", {"year": 2001, "published": "2024-01-02", "author": {"name": "Bo"}}),
    Document("c d?#%", "Kirschen sind rot", {"year": 2010, "lang": "de", "draft": True}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Pipeline(retriever=BM25()).fit(DOCUMENTS).save(tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(folder)) as client:
        yield client


def ids(answer: object) -> list[list[str]]:
    return [[hit["id"] for hit in result["hits"]] for result in answer.json()["results"]]


def problem(answer: object, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    about = answer.json()
    assert about["type"] == f"urn:rag:problem:{code}"
    assert about["status"] == status
    return about["detail"]


# -- asking -----------------------------------------------------------------------------------------------------------


def test_one_question(client, folder):
    answer = client.post("/search", json={"query": "apples", "top_k": 1}).json()
    expected = Pipeline.load(folder).search("apples", top_k=1)[0]
    [hit] = answer["results"][0]["hits"]
    assert hit["score"] == pytest.approx(expected.score)
    assert {name: hit[name] for name in ("rank", "id", "title", "passage", "start", "end", "metadata")} == {
        "rank": 1,
        "id": "a",
        "title": "Fruit",
        "passage": "apples are red",
        "start": 0,
        "end": 14,
        "metadata": {"year": 1990, "lang": "en", "title": "Fruit"},
    }
    assert "scores" not in hit
    assert answer["generation"] == Pipeline.generations(folder)[0].name


def test_several_questions_and_what_each_has_of_its_own(client):
    asked = {
        "queries": ["apples", {"query": "red rot", "top_k": 1}, {"query": "red yellow", "filter": {"year": 2001}}],
        "top_k": 5,
    }
    assert [len(hits) for hits in ids(client.post("/search", json=asked))] == [1, 1, 1]
    assert ids(client.post("/search", json=asked))[2] == ["b/../c"]


def test_a_conversation(client):
    turns = [{"speaker": "user", "text": "tell me of bananas"}, {"speaker": "agent", "text": "which ones?"}]
    assert ids(client.post("/search", json={"conversation": turns})) == [["b/../c"]]


def test_scores_by_stage(client):
    [result] = client.post("/search", json={"query": "apples", "explain": True}).json()["results"]
    assert result["hits"][0]["scores"] == {"retriever": pytest.approx(result["hits"][0]["score"])}


def test_numbers_that_json_does_not_have():
    pipeline = Pipeline(retriever=BM25()).fit([Document("a", "apples", {"price": float("nan"), "n": 10**30})])
    with TestClient(create_app(pipeline)) as client:
        [result] = client.post("/search", json={"query": "apples"}).json()["results"]
        assert result["hits"][0]["metadata"] == {"price": None, "n": 10**30}
        assert client.get("/documents/a").json()["metadata"] == {"price": None, "n": 10**30}
        assert client.get("/fields").status_code == 200


def test_remarks_are_told(client):
    [result] = client.post("/search", json={"query": "apples", "filter": {"lang": "fr"}}).json()["results"]
    assert result["remarks"][0]["code"] == "filter_value_unknown"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "give one of query, conversation and queries, got none of them"),
        ({"query": "a", "queries": ["b"]}, "got query and queries"),
        ({"query": ""}, "query '1' has no text"),
        ({"query": "\u200b"}, "query '1' has no text"),
        ({"queries": ["a", ""]}, "query '2' has no text"),
        ({"queries": []}, "queries: from 1 to 64"),
        ({"queries": [{"query": "a", "conversation": []}]}, "either a question or a conversation"),
        ({"conversation": []}, "a conversation needs a turn with text"),
        ({"qury": "a"}, "/qury: no such field; did you mean 'query'? (valid: conversation, explain, filter, "),
        (
            {"queries": [{"query": "a", "topk": 5}]},
            "/topk: no such field; did you mean 'top_k'? (valid: conversation, ",
        ),
        ({"query": 5}, "/query: must be a string, got 5"),
        ({"conversation": [{"speaker": "user"}]}, "/conversation/0/text: is missing"),
        ({"query": "a", "top_k": 0}, "/top_k: must be greater than or equal to 1, got 0"),
        ([], "body: must be an object, got []"),
        ({"query": "a", "top_k": 1001}, "top_k: at most 1000, got 1001"),
        ({"query": "a", "top_k": 10**30}, "top_k: at most 1000"),
        ({"query": "a", "filter": {"yeer": 1}}, "no document has the field 'yeer'; did you mean 'year'?"),
        ({"query": "a", "filter": {"year": {"above": 1}}}, "unknown test 'above' of 'year'"),
        ({"query": "a", "filter": {"year": "x"}}, "cannot be compared with 'x'"),
        ({"query": "a", "filter": []}, "/filter: must be an object, got []"),
    ],
)
def test_what_is_wrong_with_a_question(client, body, said):
    assert said in problem(client.post("/search", json=body), 422, "invalid")


def nested(depth: int) -> bytes:
    return b'{"not":' * depth + b'{"year":1}' + b"}" * depth


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b"[1]", 422, "invalid"),
        (b"\xff\xfe{}", 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b'{"query": "a", "top_k": ' + b"9" * 5000 + b"}", 400, "malformed"),
        (b'{"query": "\\ud800"}', 422, "invalid"),
        (b'{"query": "a", "filter": {"year": "\\udfff"}}', 422, "invalid"),
        (b'{"query": "a", "filter": {"\\ud800": 1}}', 422, "invalid"),
        (b'{"query": "a", "filter": {"year": NaN}}', 422, "invalid"),
        (b'{"query": "a", "filter": ' + nested(60) + b"}", 422, "invalid"),
        (b'{"query": "a", "filter": ' + nested(900) + b"}", 422, "invalid"),
        (b'{"query": "a", "filter": {"year": ' + b"[" * 900 + b"]" * 900 + b"}}", 422, "invalid"),
        (b'{"query": "a", "filter": {"or": [' + b'{"year": 1},' * 2000 + b'{"year": 1}]}}', 413, "too-long"),
        (b'{"query": "' + b"a" * 10_001 + b'"}', 413, "too-long"),
        (b" " * (1 << 20) + b'{"query": "a"}', 413, "too-large"),
    ],
)
def test_bodies_that_mean_harm(client, content, status, code):
    problem(client.post("/search", content=content, headers={"Content-Type": "application/json"}), status, code)


@pytest.mark.parametrize("content", [b'{"query": "a\\u0000apples"}', b'{"query": "apples", "filter": {"year": 1e999}}'])
def test_bodies_that_are_odd(client, content):
    answer = client.post("/search", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_page_of_a_stranger_cannot_send_json(client, kind):
    # What a browser sends across origins without asking first is of one of these types.
    answer = client.post("/search", content=b'{"query": "apples"}', headers={"Content-Type": kind} if kind else {})
    problem(answer, 415, "media-type")


def test_paths(client):
    assert problem(client.get("/nothing"), 404, "no-such-path") == "Not Found"
    assert problem(client.put("/search", json={}), 405, "method") == "Method Not Allowed"


# -- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [document.id for document in DOCUMENTS])
def test_ids_that_look_like_paths_are_ids(client, document):
    from urllib.parse import quote

    assert client.get(f"/documents/{quote(document, safe='')}").json()["id"] == document
    assert client.get("/documents", params={"id": document}).json()["id"] == document


@pytest.mark.parametrize("path", ["%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "%ff", "a%00", "%F0%9F%98%80", "A" * 5000])
def test_documents_that_are_not_there(client, path):
    assert problem(client.get(f"/documents/{path}"), 404, "no-such-document")


def test_fields(client):
    answer = client.get("/fields").json()
    fields = {field.pop("name"): field for field in answer["fields"]}
    assert answer["documents"] == 3
    assert fields["year"] == {
        "kinds": ["numbers"],
        "documents": 3,
        "values": [1990, 2001, 2010],
        "minimum": 1990,
        "maximum": 2010,
    }
    assert fields["published"]["minimum"] == "2024-01-02"
    assert fields["author.name"]["values"] == ["Bo"]
    assert fields["draft"] == {
        "kinds": ["truth values"],
        "documents": 1,
        "values": [True],
        "minimum": None,
        "maximum": None,
    }


def test_documents_come_and_go(client, folder):
    put = client.put(
        "/documents",
        json={"documents": [{"id": "n", "title": "New", "text": "cherries", "metadata": {"year": 2026}}]},
    ).json()
    assert (put["added"], put["documents"]) == (1, 4)
    assert put["generation"] == Pipeline.generations(folder)[0].name == client.get("/ready").json()["generation"]
    assert ids(client.post("/search", json={"query": "cherries", "filter": {"year": {"gt": 2020}}})) == [["n"]]
    assert Pipeline.load(folder, verify=True).document("n").text == "New\ncherries"
    again = client.put("/documents", json={"documents": [{"id": "n", "text": "dates"}]}).json()
    assert (again["added"], again["updated"]) == (0, 1)
    assert ids(client.post("/search", json={"query": "cherries"})) == [[]]
    tried = client.request("DELETE", "/documents", json={"filter": {"year": {"gte": 2001}}, "dry_run": True}).json()
    assert (tried["deleted"], client.get("/ready").json()["documents"]) == (2, 4)
    gone = client.request("DELETE", "/documents", json={"ids": ["n", "nobody"]}).json()
    assert (gone["deleted"], gone["unknown"], gone["documents"]) == (1, ["nobody"], 3)
    problem(client.get("/documents/n"), 404, "no-such-document")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"documents": []}, 422, "/documents: must have at least 1 item, not 0, got []"),
        ({"documents": [{"id": "x"}]}, 422, "/documents/0/text: is missing"),
        ({"documents": [{"id": "", "text": "t"}]}, 422, "/documents/0/id"),
        ({"documents": [{"id": "x", "text": "t", "metadata": {"m": 1}}, {"id": "x", "text": "u"}]}, 422, "x"),
        ({"documents": [{"id": "x", "text": "t"}] * 1001}, 422, "documents: from 1 to 1,000"),
    ],
)
def test_documents_that_cannot_be_put(client, folder, body, status, said):
    before = Pipeline.generations(folder)
    assert said in problem(client.put("/documents", json=body), status, "invalid")
    assert Pipeline.generations(folder) == before


@pytest.mark.parametrize(
    "content",
    [
        b'{"documents": [{"id": "x", "text": "\\ud800"}]}',
        b'{"documents": [{"id": "\\ud800", "text": "x"}]}',
        b'{"documents": [{"id": "x", "text": "x", "metadata": {"a": "\\ud800"}}]}',
        b'{"documents": [{"id": "x", "text": "x", "metadata": {"\\ud800": 1}}]}',
        b'{"documents": [{"id": "x", "text": "x", "metadata": {"a": ' + b"[" * 150 + b"]" * 150 + b"}}]}",
        b'{"documents": [{"id": "x", "text": "x", "metadata": {"a": ' + b"[" * 800 + b"]" * 800 + b"}}]}",
    ],
)
def test_documents_that_mean_harm(client, folder, content):
    before = Pipeline.generations(folder)
    problem(client.put("/documents", content=content, headers={"Content-Type": "application/json"}), 422, "invalid")
    assert Pipeline.generations(folder) == before
    assert ids(client.post("/search", json={"query": "apples"})) == [["a"]]


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("DELETE", "/documents", b'{"ids": ["\\ud800"]}'),
        ("DELETE", "/documents", b'{"filter": {"lang": "\\ud800"}}'),
        ("POST", "/search", b'{"queries": ["a", {"query": "b\\udfff"}]}'),
        ("POST", "/search", b'{"conversation": [{"speaker": "\\ud800", "text": "a"}]}'),
        ("POST", "/search", b'{"query": "a", "filter": {"\\ud800": 1}}'),
        ("POST", "/search", b'{"\\ud800": "a"}'),
    ],
)
def test_half_a_character_is_no_text(client, method, path, content):
    answer = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert "lone surrogate" in problem(answer, 422, "invalid")


def test_not_all_documents_can_go(client):
    body = {"filter": {"year": {"gte": 0}}}
    assert "no document would be left" in problem(client.request("DELETE", "/documents", json=body), 422, "invalid")
    for body in ({}, {"ids": ["a"], "filter": {"year": 1}}):
        assert "give ids or a filter" in problem(client.request("DELETE", "/documents", json=body), 422, "invalid")


def test_what_only_reads(folder):
    with TestClient(create_app(folder, read_only=True)) as client:
        assert not client.get("/ready").json()["writable"]
        body = {"documents": [{"id": "x", "text": "t"}]}
        assert problem(client.put("/documents", json=body), 403, "read-only") == "this server is read-only"
    with TestClient(create_app(Pipeline.load(folder))) as client:
        problem(client.put("/documents", json=body), 403, "read-only")
        assert ids(client.post("/search", json={"query": "apples"})) == [["a"]]
        assert client.get("/ready").json()["generation"] == "memory"


def test_a_disk_that_is_full_changes_nothing(client, folder, monkeypatch):
    import errno

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "secret-place"))

    with monkeypatch.context() as patch:
        patch.setattr("rag.store.folder.replace_manifest", full)
        answer = client.put("/documents", json={"documents": [{"id": "x", "text": "cherries"}]})
    assert "no space left" in problem(answer, 507, "disk-full")
    assert str(folder) not in answer.text
    assert ids(client.post("/search", json={"query": "cherries apples"})) == [["a"]]
    assert client.put("/documents", json={"documents": [{"id": "x", "text": "cherries"}]}).status_code == 200


def test_errors_of_the_server_tell_nothing(client, folder, monkeypatch, caplog):
    def broken(*arguments: object) -> None:
        raise ValueError(f"password=hunter2 in {folder}")

    with monkeypatch.context() as patch:
        patch.setattr(BM25, "retrieve", broken)
        answer = client.post("/search", json={"query": "apples"})
    said = problem(answer, 503, "unavailable")
    assert "hunter2" not in answer.text
    assert str(folder) not in answer.text
    incident = said.split("incident ")[1][:8]
    assert f"incident {incident}: password=hunter2" in caplog.text
    assert ids(client.post("/search", json={"query": "apples"})) == [["a"]]


# -- who may --------------------------------------------------------------------------------------------------------


def test_keys_and_scopes(folder):
    keys = ["read:reader-secret", "write:writer-secret", "second-writer"]
    with TestClient(create_app(folder, keys=keys)) as client:

        def ask(method: str, path: str, key: str | None, body: object = None) -> int:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            return client.request(method, path, headers=headers, json=body).status_code

        question, document = {"query": "apples"}, {"documents": [{"id": "x", "text": "t"}]}
        assert [ask("GET", path, None) for path in ("/health", "/ready")] == [200, 200]
        for path, method, body in [
            ("/search", "POST", question),
            ("/documents/a", "GET", None),
            ("/fields", "GET", None),
            ("/metrics", "GET", None),
            ("/documents", "PUT", document),
            ("/documents", "DELETE", {"ids": ["x"]}),
        ]:
            assert [ask(method, path, key, body) for key in (None, "", "wrong-secret")] == [401, 401, 401]
        assert [ask("POST", "/search", key, question) for key in ("reader-secret", "second-writer")] == [200, 200]
        assert [ask("PUT", "/documents", key, document) for key in ("reader-secret", "writer-secret")] == [403, 200]
        answer = client.post("/search", json=question)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer KEY" in problem(answer, 401, "key")
        basic = client.post("/search", json=question, headers={"Authorization": "Basic cmVhZGVyLXNlY3JldA=="})
        problem(basic, 401, "key")
        schemes = client.get("/openapi.json").json()["components"]["securitySchemes"]
        assert [scheme["scheme"] for scheme in schemes.values()] == ["bearer"]


def test_keys_are_checked(monkeypatch):
    monkeypatch.setenv("SOME_KEYS", " read:12345678, 87654321\n write:abcdefgh ")
    keys = Keys.from_environment("SOME_KEYS")
    scopes = [
        sorted(keys.scopes_of(key)) for key in ("12345678", "87654321", "abcdefgh", "", "read:12345678", "\ud800")
    ]
    assert scopes == [["read"], ["read", "write"], ["read", "write"], [], [], []]
    with pytest.raises(ConfigError, match="at least 8 characters") as refused:
        Keys(["short"])
    assert "short" not in str(refused.value)
    monkeypatch.setenv("SOME_KEYS", " ")
    with pytest.raises(ConfigError, match="SOME_KEYS holds no key"):
        Keys.from_environment("SOME_KEYS")


def test_a_stranger_s_name_for_this_host(folder):
    with TestClient(create_app(folder, allowed_hosts=["localhost", "[::1]"]), base_url="http://localhost") as client:
        statuses = [
            client.get("/ready", headers={"Host": host}).status_code
            for host in (
                "localhost",
                "LOCALHOST:8000",
                "[::1]:80",
                "[::1]",
                "evil.example",
                "localhost.evil.example",
                "",
            )
        ]
        assert statuses == [200, 200, 200, 200, 421, 421, 421]


def test_pages_of_other_origins(folder):
    asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    with TestClient(create_app(folder)) as client:
        assert "access-control-allow-origin" not in client.options("/search", headers=asks).headers
    with TestClient(create_app(folder, cors_origins=["https://app.example"])) as client:
        assert client.options("/search", headers=asks).headers["access-control-allow-origin"] == "https://app.example"
        other = client.options("/search", headers={**asks, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


# -- limits and figures -----------------------------------------------------------------------------------------------


def test_a_search_that_takes_too_long(folder, monkeypatch):
    going = threading.Event()
    retrieve = BM25.retrieve
    app = create_app(folder, limits=Limits(timeout=0.05))
    monkeypatch.setattr(BM25, "retrieve", lambda self, batch: going.wait(20) and retrieve(self, batch))
    with TestClient(app) as client:
        assert "longer than 0.05 s" in problem(client.post("/search", json={"query": "apples"}), 504, "timeout")
        going.set()


def test_limits_are_checked():
    with pytest.raises(ConfigError, match="max_batch: must be above 0, got 0"):
        Limits(max_batch=0)
    with pytest.raises(ConfigError, match="window: must be above 0, got -1"):
        Limits(window=-1)


def test_figures(client):
    client.post("/search", json={"queries": ["apples", "bananas"]})
    client.post("/search", json={"query": ""})
    client.get("/documents/secret-id")
    client.put("/documents", json={"documents": [{"id": "x", "text": "t"}]})
    text = client.get("/metrics").text
    for line in (
        'rag_requests_total{method="POST",route="/search",status="200"} 1.0',
        'rag_requests_total{method="POST",route="/search",status="422"} 1.0',
        'rag_requests_total{method="GET",route="/documents/{id:path}",status="404"} 1.0',
        'rag_updates_total{verb="put"} 1.0',
        "rag_batch_queries_sum 2.0",
        'rag_stage_seconds_count{stage="retriever"}',
        "rag_queue_queries 0.0",
        "rag_documents 4.0",
        "rag_generations_refused 0.0",
    ):
        assert line in text
    assert "secret-id" not in text
    assert text.count("rag_generation_info{") == 1


def test_what_is_served_must_be_a_fitted_pipeline(tmp_path):
    with pytest.raises(ConfigError, match="got int"):
        create_app(5)
    with pytest.raises(NotFittedError):
        create_app(Pipeline(retriever=BM25()))
    with pytest.raises(ConfigError, match="takes a folder"):
        create_app(Pipeline(retriever=BM25()).fit(DOCUMENTS), follow=True)


def test_the_description_is_complete(client):
    spec = client.get("/openapi.json").json()
    assert spec["openapi"].startswith("3.1")
    assert sorted(spec["paths"]) == [
        "/answer",
        "/documents",
        "/documents/{id}",
        "/fields",
        "/health",
        "/metrics",
        "/ready",
        "/remember",
        "/search",
    ]
    assert spec["components"]["schemas"]["SearchRequest"]["examples"]
    json.dumps(spec)


def test_mounted_into_another_application(folder):
    from fastapi import FastAPI

    mine = FastAPI()
    served = create_app(Pipeline.load(folder))
    mine.mount("/rag", served)
    with TestClient(mine) as client:
        assert ids(client.post("/rag/search", json={"query": "apples"})) == [["a"]]
        assert client.get("/rag/").status_code == 200
    served.state.close()


def test_judgments_enter_the_memory_at_once(tmp_path):
    questions = [Query("1", "red things"), Query("2", "yellow things")]
    judged = Training(questions, {"1": {"a": 1}, "2": {"b/../c": 1}})
    pipeline = Pipeline(retriever=QueryMemory(embedder=LSA(dim=2), gate=0))
    pipeline.fit(DOCUMENTS, training=judged).save(tmp_path / "index")
    with TestClient(create_app(tmp_path / "index")) as client:
        body = {"judgments": [{"query": "Kirschen rot", "document": "c d?#%"}], "weight": 0.5}
        answer = client.post("/remember", json=body)
        generation = Pipeline.generations(tmp_path / "index")[0].name
        assert answer.json() == {"changed": 1, "values": 0, "generation": generation}
        assert ids(client.post("/search", json={"query": "Kirschen rot", "top_k": 1})) == [["c d?#%"]]
        assert client.post("/remember", json=body).json()["changed"] == 0
        assert problem(client.post("/remember", json={"judgments": []}), 422, "invalid")
        assert problem(client.post("/remember", json=body | {"weight": 0}), 422, "invalid")


def test_values_are_remembered_found_and_forgotten(tmp_path):
    Pipeline(retriever=BM25()).fit(DOCUMENTS).save(tmp_path / "index")
    values = [{"query": "when does the museum open?", "value": {"hour": 9}, "source": "desk"}]
    asked = {"query": "museum", "filter": {"remembered": {"exists": True}}}
    with TestClient(create_app(tmp_path / "index")) as client:
        assert client.post("/remember", json={"values": values}).json()["values"] == 1
        (hit,) = client.post("/search", json=asked).json()["results"][0]["hits"]
        assert (hit["metadata"]["value"], hit["metadata"]["source"]) == ({"hour": 9}, "desk")
        assert client.post("/remember", json={"values": [values[0] | {"value": None}]}).json()["values"] == 1
        assert client.post("/search", json={"query": "museum"}).json()["results"][0]["hits"] == []
        assert problem(client.post("/remember", json={"values": [{"query": " ", "value": 1}]}), 422, "invalid")


def test_what_has_no_memory_cannot_remember(client):
    body = {"judgments": [{"query": "which cherries", "document": "a"}]}
    detail = problem(client.post("/remember", json=body), 422, "invalid")
    assert detail == "no component of this pipeline remembers judgments: add a query_memory"


def test_marks_on_documents_that_are_not_there_are_refused(folder, tmp_path):
    with TestClient(create_app(folder, judgments=tmp_path / "judged.tsv")) as client:
        body = {"query": "apples", "document": "nope", "grade": 1}
        assert "nope" in problem(client.post("/judgments", json=body), 404, "no-such-document")
        assert not (tmp_path / "judged.tsv").exists()
        assert client.post("/judgments", json=body | {"document": DOCUMENTS[0].id}).status_code == 200
