"""Connections to a Milvus server; and errors that tell no password."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rag.config import has_credentials, revealed
from rag.errors import ArtifactError, MissingExtraError, Mistakes, RagError, ServerError

__all__ = ["MilvusServer", "check_address"]

T = TypeVar("T")

_OLDEST = (2, 5)
"""The first Milvus with columns that may be empty, and with BM25."""

_OPTIONS = {"grpc.use_local_subchannel_pool": 1}
"""A new connection is tried at once: it does not know that an earlier one has failed, and waits no longer each time."""

_MISSING = (100, 700, 1600)
"""Codes of a collection, an index or an alias that is not there."""


def check_address(uri: str, token: str, collection: str) -> Mistakes:
    """What is wrong with arguments: an address or a token that would stand in files, a name that Milvus does not
    take.
    """
    mistakes = Mistakes()
    if has_credentials(uri):
        mistakes.add(
            "has a password in it, which would stand in files: write ${MILVUS_URI}, or give 'token: ${MILVUS_TOKEN}'",
            "uri",
        )
    if token and not re.fullmatch(r"\$\{\w+(:-)?\}", token):
        mistakes.add("would stand in files: write ${MILVUS_TOKEN}, with the token in that variable", "token")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", collection):
        mistakes.add(f"must be a name of letters, digits and _, at most 100, got '{collection}'", "collection")
    return mistakes


class MilvusServer:
    """A Milvus server, or a file of milvus-lite, by its address.

    Args:
        uri: Address as in the pipeline, with its variables.
        token: Likewise, ``USER:PASSWORD`` or a key; empty for none.
        timeout: Seconds to wait for a connection, and for an answer.
    """

    def __init__(self, uri: str, token: str, timeout: float) -> None:
        self.uri, self.token, self.timeout = uri, token, timeout
        self._client: tuple[int, Any] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"uri": self.uri, "token": self.token, "timeout": self.timeout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __str__(self) -> str:
        return f"Milvus at {re.sub(r'//[^/]*@', '//', self._address).removeprefix('http://')}"

    @property
    def _address(self) -> str:
        return revealed(self.uri, "uri")

    def run(self, doing: str, call: Callable[[Any], T], *, reads: str = "") -> T:
        """What ``call`` gives with the client. Called again once where the connection was lost, or where the collection
        that it ``reads`` was not in the server's memory.

        Raises:
            ServerError: The server cannot be reached, or refuses.
            ArtifactError: A collection or an alias is not there.
        """
        try:
            return self._run(doing, call)
        except ServerError as error:
            released = reads and ("not loaded" in str(error) or "call load()" in str(error))
            if not error.lost and not released:
                raise
            lost = error.lost
        if lost:
            self.close()
        if reads:  # after a restart it may not be
            self._run(doing, lambda client: client.load_collection(reads))
        return self._run(doing, call)

    def _run(self, doing: str, call: Callable[[Any], T]) -> T:
        try:
            return call(self._connected())
        except RagError:
            raise
        except Exception as error:  # those of grpc and of pymilvus have no common base
            code = getattr(error, "code", None)
            message = f"{self}: {doing}: {self._said(error)}"
            if code in _MISSING:
                raise ArtifactError(message) from None
            module = type(error).__module__.partition(".")[0]
            if module not in ("pymilvus", "grpc") and "channel" not in str(error):
                raise
            lost = code == 2 or "UNAVAILABLE" in str(error) or "closed channel" in str(error)
            raise ServerError(message, lost=lost) from None

    def close(self) -> None:
        """Give up the connection; it is opened again when needed."""
        with self._lock:
            if self._client is not None and self._client[0] == os.getpid():
                self._client[1].close()
            self._client = None

    @property
    def is_lite(self) -> bool:
        """Whether it is milvus-lite, which lacks indexes of arrays."""
        return "lite" in str(self.run("cannot be asked", lambda client: client.get_server_version()))

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():
                client = _pymilvus().MilvusClient(
                    uri=self._address,
                    token=revealed(self.token, "token"),
                    timeout=self.timeout,
                    dedicated=True,  # a connection that others share would not be opened anew
                    grpc_options=_OPTIONS,
                )
                self._check(str(client.get_server_version()))
                self._client = os.getpid(), client
            return self._client[1]

    def _check(self, version: str) -> None:
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if "lite" not in version and numbers and numbers < _OLDEST:
            raise ServerError(f"{self}: is Milvus {version}; 2.5 or newer is needed")

    def _said(self, error: Exception) -> str:
        message = " ".join(str(getattr(error, "message", None) or error).split())
        for secret in self._secrets():
            message = message.replace(secret, "...")
        return message[:500]

    def _secrets(self) -> list[str]:
        token = revealed(self.token, "token")
        address = re.search(r"//([^/]*)@", self._address)
        texts = [token, *token.split(":", 1)[1:], *(address.groups() if address else ())]
        texts += [part for text in texts for part in text.split(":", 1)[1:]]
        return sorted({text for text in texts if text}, key=len, reverse=True)


def _pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError:
        raise MissingExtraError("Milvus", package="pymilvus", extra="milvus") from None
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what fails is said by ServerError
    return pymilvus
