"""A small server that speaks OpenAI's chat protocol over real sockets, and misbehaves as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = dict
"""status, body (text of the answer), finish, delay, raw, headers; for streams pause (seconds between events), broken
(events before the connection breaks), silently (the break looks like an end). logprobs: of its tokens, where asked."""


class ChatServer:
    """Answers ``POST /v1/chat/completions``; :attr:`answer` says how, given the request and its number."""

    def __init__(self, answer: Callable[[dict, int], Answer] | None = None) -> None:
        self.answer = answer or (lambda request, number: {"body": summary_of(request)})
        self.requests: list[dict] = []
        self.keys: list[str] = []
        self.busy = self.most_busy = 0
        self.left = 0
        """Streams whose client went away."""
        self.lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    number = len(server.requests)
                    server.requests.append(request)
                    server.keys.append(self.headers.get("Authorization", ""))
                    server.busy += 1
                    server.most_busy = max(server.busy, server.most_busy)
                try:
                    answer = server.answer(request, number)
                    time.sleep(answer.get("delay", 0))
                finally:
                    with server.lock:
                        server.busy -= 1
                try:
                    self._send(request, answer)
                except (BrokenPipeError, ConnectionResetError):  # the client has given up
                    self.close_connection = True
                    server.left += 1

            def _send(self, request: dict, answer: Answer) -> None:
                status = answer.get("status", 200)
                if "raw" in answer or status != 200:
                    body = answer.get(
                        "raw", json.dumps({"error": {"message": answer.get("body", "no"), "code": status}})
                    )
                    self._reply(status, "application/json", body, answer.get("headers", {}))
                elif request.get("stream"):
                    self._stream([event.encode() for event in _events(request, answer)], answer)
                else:
                    self._reply(200, "application/json", json.dumps(_whole(request, answer)), {})

            def _stream(self, events: list[bytes], answer: Answer) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                if answer.get("silently"):
                    self.send_header("Connection", "close")
                else:
                    self.send_header("Content-Length", str(sum(map(len, events))))
                self.end_headers()
                for event in events[: answer.get("broken")]:
                    self.wfile.write(event)
                    time.sleep(answer.get("pause", 0))
                self.close_connection |= "broken" in answer

            def _reply(self, status: int, kind: str, body: str, headers: dict) -> None:
                data = body.encode()
                self.send_response_only(status) if "Date" in headers else self.send_response(status)
                for name, value in {"Content-Type": kind, "Content-Length": len(data), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@contextmanager
def chat_server(answer: Callable[[dict, int], Answer] | None = None) -> Iterator[ChatServer]:
    server = ChatServer(answer)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def asked(request: dict) -> str:
    return request["messages"][-1]["content"]


def summary_of(request: dict) -> str:
    """The last line of what was asked, marked."""
    return f"summary of {asked(request).splitlines()[-1]}"


def _usage() -> dict:
    return {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def _whole(request: dict, answer: Answer) -> dict:
    message = {"role": "assistant", "content": answer.get("body"), "refusal": answer.get("refusal")}
    choice = {"index": 0, "message": message, "finish_reason": answer.get("finish", "stop")}
    if request.get("logprobs"):
        tokens = [{"token": "x", "logprob": log, "bytes": None, "top_logprobs": []} for log in answer["logprobs"]]
        choice["logprobs"] = {"content": tokens, "refusal": None}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": request["model"]}
    return {**head, "choices": [choice], "usage": _usage()}


def _events(request: dict, answer: Answer) -> Iterator[str]:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": request["model"]}
    words = [word + " " for word in (answer.get("body") or "").split(" ")]
    for word in words:
        choice = {"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
    choice = {"index": 0, "delta": {}, "finish_reason": answer.get("finish", "stop")}
    yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
    yield f"data: {json.dumps({**head, 'choices': [], 'usage': _usage()})}\n\n"
    yield "data: [DONE]\n\n"
