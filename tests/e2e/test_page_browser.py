"""The page that searches and judges, as a browser shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag import Document, Pipeline
from rag.retrievers import BM25
from rag.serving import create_app
from tests.e2e.chromium import Chromium, find_chromium
from tests.e2e.test_report_browser import WORST_CONTRAST
from tests.served import serving

BINARY = find_chromium()

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="needs a chromium or chrome on the PATH (Debian: apt-get install chromium)"
)

HOSTILE = "</script><img src=x onerror=\"document.title='broken in'\"><svg onload=alert(1)> javascript:alert(2)"
DOCUMENTS = [
    Document(
        "returns", "You can return anything within 30 days. Returned parcels are free.", {"year": 2020, "lang": "en"}
    ),
    Document("warranty", "Every device is covered for two years.", {"year": 2021, "lang": "en", "title": "Warranty"}),
    Document("rückgabe/../x y?#", "Rückgabe: parcels 🎁🎁 go back to us.", {"year": 2022, "lang": "de"}),
    Document(
        HOSTILE, f"hostile parcels {HOSTILE} \u202egnp.exe", {"title": HOSTILE, "lang": HOSTILE, HOSTILE: HOSTILE}
    ),
    Document("long", "parcels " + "w" * 3000, {"year": 1999}),
]
READY = "document.body.dataset.ready"
HITS = "[...document.querySelectorAll('#hits > li')].map((item) => item.querySelector('.where').textContent)"
STATUS = "document.getElementById('status').textContent"
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert BINARY
    with Chromium(BINARY, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judged") / "judged.tsv"


@pytest.fixture(scope="module")
def url(judged: Path) -> Iterator[str]:
    with serving(create_app(Pipeline(retriever=BM25()).fit(DOCUMENTS), judgments=judged)) as url:
        yield url


def until(browser: Chromium, condition: str) -> None:
    script = f"""new Promise((done, fail) => {{
      const end = Date.now() + 15000;
      const look = () => {{
        if ({condition}) done(true);
        else if (Date.now() > end) fail(new Error('not in time: ' + {STATUS}));
        else setTimeout(look, 10);
      }};
      look();
    }})"""
    assert browser.evaluate(script)


def opened(browser: Chromium, url: str, **screen: object) -> None:
    browser.open(f"{url}/", **screen)
    until(browser, f"{READY} === 'yes'")


def ask(browser: Chromium, question: str) -> None:
    browser.evaluate(f"document.getElementById('query').value = {json.dumps(question)}")
    browser.evaluate("document.getElementById('status').textContent = ''")
    browser.evaluate("document.getElementById('query').focus()")
    browser.press("Enter")
    until(browser, f"{STATUS}.includes('found')")


def type_key(browser: Chromium, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")


def complaints(browser: Chromium) -> list[object]:
    kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening")
    return [event for kind in kinds for event in browser.seen(kind)]


def test_searching_marks_matching_words(browser, url):
    opened(browser, url)
    ask(browser, "return")
    assert browser.evaluate(HITS) == ["1. returns"]
    marks = "[...document.querySelectorAll('#hits mark')].map((mark) => mark.textContent)"
    assert browser.evaluate(marks) == ["return", "Returned"]
    assert browser.evaluate("document.querySelector('.scores').textContent").startswith("retriever")
    assert complaints(browser) == []
    asked = [request["request"]["url"] for request in browser.seen("Network.requestWillBeSent")]
    assert all(address.startswith((url, "data:")) for address in asked)


def test_hostile_documents_are_texts(browser, url):
    opened(browser, url)
    ask(browser, "hostile parcels")
    assert browser.evaluate(HITS)[0] == f"1. {HOSTILE}"
    browser.evaluate("document.querySelector('#hits h2 button').click()")
    until(browser, "document.getElementById('document').open")
    assert HOSTILE in browser.evaluate("document.getElementById('document-text').textContent")
    assert browser.evaluate("document.querySelectorAll('img, svg, iframe').length") == 0
    assert browser.evaluate("document.title") == "Search"
    assert complaints(browser) == []


def test_the_policy_keeps_out_what_a_hole_would_let_in(browser, url):
    opened(browser, url)
    browser.evaluate(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE)})")
    browser.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert browser.evaluate("document.title") == "Search"
    assert browser.seen("Page.javascriptDialogOpening") == []


def test_by_keyboard_alone(browser, url):
    opened(browser, url)
    ask(browser, "parcels")
    browser.press("Escape")  # out of the field
    type_key(browser, "j")
    assert browser.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    browser.press("Enter")
    until(browser, "document.getElementById('document').open")
    browser.press("Escape")
    until(browser, "!document.getElementById('document').open")
    type_key(browser, "/")
    assert browser.evaluate("document.activeElement.id") == "query"


def test_the_passage_is_shown_where_it_is_in_the_document(browser, url):
    opened(browser, url)
    ask(browser, "Rückgabe")
    browser.evaluate("document.querySelector('#hits h2 button').click()")
    until(browser, "document.getElementById('document').open")
    assert browser.evaluate("document.querySelector('.passage-here').textContent") == DOCUMENTS[2].text
    assert browser.evaluate("document.querySelector('#document-metadata dd').textContent") == DOCUMENTS[2].id


def test_filters(browser, url):
    opened(browser, url)
    names = "[...document.querySelectorAll('#fields legend')].map((legend) => legend.textContent)"
    assert browser.evaluate(names) == ["year", "lang", "title", HOSTILE]
    ask(browser, "parcels")
    assert len(browser.evaluate(HITS)) == 4
    choose = """(() => {
      const select = document.querySelector('#fields select[aria-label="lang"]');
      select.value = [...select.options].find((option) => option.text === 'de').value;
      select.dispatchEvent(new Event('change', { bubbles: true }));
    })()"""
    browser.evaluate("document.getElementById('status').textContent = ''")
    browser.evaluate(choose)
    until(browser, f"{STATUS}.includes('1 found')")
    assert browser.evaluate(HITS) == [f"1. {DOCUMENTS[2].id}"]


def test_judging_is_kept_as_qrels(browser, url, judged, tmp_path):
    from rag.eval import load_dataset

    opened(browser, url)
    ask(browser, "return parcels")
    listed = [where.split(". ", 1)[1] for where in browser.evaluate(HITS)]
    browser.press("Escape")
    for grade, _ in zip("201", listed, strict=False):
        type_key(browser, "j")
        type_key(browser, grade)
        until(browser, f"{STATUS}.includes('kept')")
        browser.evaluate("document.getElementById('status').textContent = ''")
    browser.evaluate("document.querySelectorAll('#hits .judge button')[0].click()")  # the first: 2 becomes 0
    until(browser, f"{STATUS}.includes('kept')")
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": document.id, "text": document.text}) + "\n" for document in DOCUMENTS))
    dataset = tmp_path / "judged.yaml"
    dataset.write_text(
        f"type: dataset\ncorpus: {{path: {corpus}}}\nqueries: {{path: {judged.with_suffix('.queries.jsonl')}}}\n"
        f"qrels: {{path: {{test: {judged}}}}}\n"
    )
    split = load_dataset(str(dataset)).split("test")
    assert [query.text for query in split.queries] == ["return parcels"]
    assert split.qrels[split.queries[0].id] == dict(zip(listed, (0, 0, 1), strict=False))
    opened(browser, url)
    ask(browser, "return parcels")
    pressed = (
        "[...document.querySelectorAll('#hits .judge button[aria-pressed=true]')].map((one) => one.textContent[0])"
    )
    assert browser.evaluate(pressed) == ["0", "0", "1"]


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_light_and_dark(browser, url, dark):
    opened(browser, url, width=360, height=700, dark=dark)
    ask(browser, "hostile parcels")
    assert not browser.evaluate(WIDE)
    browser.evaluate("document.getElementById('narrow').open = true")
    assert not browser.evaluate(WIDE)
    contrast, text = browser.evaluate(WORST_CONTRAST)
    assert contrast >= 4.5, text


def test_a_key_is_asked_for(browser):
    app = create_app(Pipeline(retriever=BM25()).fit(DOCUMENTS), keys=["read:reader-secret"])
    with serving(app) as url:
        browser.open(f"{url}/")
        until(browser, f"{READY} === 'no'")
        assert "needs a key" in browser.evaluate(STATUS)
        browser.evaluate("document.getElementById('secret').value = 'reader-secret'")
        browser.evaluate("document.querySelector('#key button').click()")
        until(browser, f"{READY} === 'yes'")
        ask(browser, "return")
        assert browser.evaluate(HITS) == ["1. returns"]


def test_the_documentation(browser, url):
    browser.open(f"{url}/docs")
    until(browser, f"{READY} === 'yes'")
    assert browser.evaluate("document.querySelectorAll('#operations details').length") == 13
    assert complaints(browser) == []
