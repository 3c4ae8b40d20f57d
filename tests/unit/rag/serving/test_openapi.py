"""Anything that may be sent by the OpenAPI description, and much that may not: no 500, no traceback, no leak."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from rag import Document, Pipeline
from rag.retrievers import BM25
from rag.serving import Limits, create_app

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

N_REQUESTS = int(os.environ.get("RAG_FUZZ_REQUESTS", "100"))
"""Requests of each test."""

TESTS = ["eq", "ne", "in", "nin", "gt", "lte", "prefix", "contains", "exists"]
DOCUMENTS = [
    Document(f"d{n}", f"word{n} word{n % 3}", {"year": 1990 + n, "tags": list("ab"[: n % 3])}) for n in range(9)
]
ODD = ["word1", "\x00", "\ud800", "../..", "%2e%2e/", "${HOME}", "{{7*7}}", "' or 1=1", "\u202e", "🎁", "a" * 300]


def mapping(**optional: Any) -> Any:
    return st.fixed_dictionaries({}, optional=optional)


def path_of(document: str) -> str:
    return f"/documents/{quote(document.encode('utf-8', 'surrogatepass'))}"


text = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=8) | st.sampled_from(ODD)
scalar = st.none() | st.booleans() | st.integers() | st.floats() | text
value = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
field = st.sampled_from(["year", "tags", "id", "nobody"]) | text
test = st.dictionaries(st.sampled_from(TESTS), value, max_size=2)
condition = st.recursive(
    st.dictionaries(field, test | scalar, max_size=2),
    lambda inner: (
        st.dictionaries(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3), max_size=1)
        | st.dictionaries(st.just("not"), inner, max_size=1)
    ),
    max_leaves=6,
)
turns = st.lists(st.fixed_dictionaries({"speaker": text, "text": text}), max_size=3)
query = {"query": text, "conversation": turns, "top_k": st.integers(), "filter": condition}
asked = mapping(**query)
search = mapping(**query, queries=st.lists(text | asked, max_size=3), explain=st.booleans())
about = mapping(title=text, metadata=st.dictionaries(text, value, max_size=3))
document = st.builds(lambda name, said, more: {"id": name, "text": said, **more}, text, text, about)
put = st.fixed_dictionaries({"documents": st.lists(document, max_size=3)})
delete = mapping(ids=st.lists(text, max_size=3), filter=condition, dry_run=st.booleans())
mark = mapping(query=text, query_id=text, document=text, grade=st.integers(-1, 3) | st.none())
simple = st.sampled_from(["/fields", "/ready", "/metrics", "/", "/docs"])
request = st.one_of(
    st.tuples(st.just("POST"), st.just("/search"), search | value),
    st.tuples(st.just("POST"), st.just("/answer"), asked),
    st.tuples(st.just("POST"), st.just("/judgments"), mark),
    st.tuples(st.just("POST"), st.just("/judgments/of"), mapping(query=text)),
    st.tuples(st.just("PUT"), st.just("/documents"), put | value),
    st.tuples(st.just("DELETE"), st.just("/documents"), delete | value),
    st.tuples(st.just("GET"), text.map(path_of) | st.sampled_from(["/documents", "/documents?id=%ff"]), st.none()),
    st.tuples(st.sampled_from(["GET", "PUT", "PATCH"]), simple, st.none()),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("secret-place")
    Pipeline(retriever=BM25()).fit(DOCUMENTS).save(folder / "index")
    app = create_app(folder / "index", judgments=folder / "judged.tsv", limits=Limits(timeout=20))
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def schemas(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


def check(client: TestClient, schemas: dict[str, Any], answer: Any, method: str, path: str) -> None:
    said = f"{answer.status_code} {answer.text[:500]}"
    assert answer.status_code < 500, said
    for leak in ("secret-place", "Traceback", 'File "', str(Path.home())):
        assert leak not in answer.text
    kind = answer.headers.get("content-type", "")
    template = "/documents/{id}" if path.startswith("/documents/") else path.partition("?")[0]
    if answer.status_code >= 400:
        assert kind == "application/problem+json", said
        schema: Any = {"$ref": "#/components/schemas/ProblemOut"}
    elif kind == "application/json" and template in schemas["paths"]:
        schema = schemas["paths"][template][method.lower()]["responses"]["200"]["content"]["application/json"]["schema"]
    else:
        return
    json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    jsonschema.validate(answer.json(), {**schema, "components": schemas["components"]})


@settings(max_examples=N_REQUESTS)
@given(request)
def test_no_request_breaks_the_server(client, schemas, request):
    method, path, body = request
    content = None if method == "GET" else json.dumps(body).encode()
    answer = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    check(client, schemas, answer, method, path)


@settings(max_examples=N_REQUESTS)
@given(st.sampled_from(["/search", "/documents", "/judgments", "/answer"]), st.binary(max_size=60), text)
def test_no_bytes_break_the_server(client, schemas, path, body, kind):
    headers = {"Content-Type": kind.encode("utf-8", "replace")} if kind.isprintable() else {}
    method = "PUT" if path == "/documents" else "POST"
    check(client, schemas, client.request(method, path, content=body, headers=headers), method, path)


def test_it_still_answers(client):
    """Whatever was put and deleted before."""
    client.put("/documents", json={"documents": [{"id": "last", "text": "word0 sesame"}]})
    [result] = client.post("/search", json={"query": "sesame"}).json()["results"]
    assert result["hits"][0]["id"] == "last"
