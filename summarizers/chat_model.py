"""Chat models by provider and model name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from rag.component import Runtime
from rag.errors import ConfigError, MissingExtraError, ModelError
from rag.summarizers.chat import ChatSummarizer, secret_free
from rag.summarizers.prompts import Task

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["ChatModel"]

Provider = Literal["openai", "ollama"]
_CLASSES = {"openai": ("langchain_openai", "ChatOpenAI"), "ollama": ("langchain_ollama", "ChatOllama")}
_NO_KEY = "none"
"""Placeholder key for own servers that need none, since some clients insist on one."""


class ChatModel(ChatSummarizer):
    """A language model of a provider, or of your own server with OpenAI's protocol (vLLM, llama.cpp, Ollama, ...),
    given by ``base_url``.

    Keys come from the environment, from the provider's variable (``OPENAI_API_KEY``) or the one named by
    ``api_key_variable``; they are never written to files. Every summary is cached in the store by text, prompt, model
    and parameters.

    Args:
        model: Name of the model.
        provider: Provider whose client is used; each has an extra of its name. For others use ``langchain``, from
            Python.
        base_url: Address of another server with the provider's protocol, such as ``http://localhost:8000/v1``.
        api_key_variable: Name of the environment variable that holds the key.
        temperature: Randomness of the replies; 0 always takes the likeliest token.
        max_tokens: Longest reply in tokens.
        options: Other arguments of the provider's LangChain class, such as ``seed`` or ``reasoning_effort``.
        timeout: Seconds after which a request fails.
        streaming: Receive replies token by token, for servers that drop silent connections. Answers that somebody reads
            while they are written are received so anyway, unless ``options`` has ``disable_streaming: true``.
        price_input: Price of a million tokens read, in your currency, for estimates.
        price_output: Price of a million tokens written.
    """

    type = "chat_model"

    def __init__(
        self,
        model: str,
        *,
        provider: Provider = "openai",
        base_url: str | None = None,
        api_key_variable: Annotated[str, Runtime()] | None = None,
        temperature: Annotated[float, Field(ge=0)] | None = 0.0,
        max_tokens: Annotated[int, Field(ge=1)] = 300,
        options: dict[str, Any] | None = None,
        timeout: Annotated[float, Field(gt=0), Runtime()] = 60.0,
        streaming: Annotated[bool, Runtime()] = False,
        price_input: Annotated[float, Field(ge=0), Runtime()] | None = None,
        price_output: Annotated[float, Field(ge=0), Runtime()] | None = None,
        task: Task = "summary",
        prompt: str | None = None,
        conversation_prompt: str | None = None,
        examples: list[dict[str, str]] | None = None,
        n_texts: Annotated[int, Field(ge=1, le=50)] = 1,
        max_input: Annotated[int, Field(ge=1)] = 24_000,
        max_output: Annotated[int, Field(ge=1)] = 4_000,
        concurrency: Annotated[int, Field(ge=1, le=1024), Runtime()] = 8,
        requests_per_minute: Annotated[float, Field(gt=0), Runtime()] | None = None,
        retries: Annotated[int, Field(ge=0), Runtime()] = 5,
        backoff: Annotated[float, Field(ge=0), Runtime()] = 2.0,
    ) -> None:
        super().__init__(
            task=task,
            prompt=prompt,
            conversation_prompt=conversation_prompt,
            examples=examples,
            n_texts=n_texts,
            max_input=max_input,
            max_output=max_output,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            retries=retries,
            backoff=backoff,
        )
        secret_free(options, "options")
        if base_url is not None and ("@" in urlsplit(base_url).netloc or urlsplit(base_url).query):
            raise ConfigError(
                "must hold neither user, password nor query: keys come from the environment", parameter="base_url"
            )
        self.model = model
        self.provider: Provider = provider
        self.base_url = base_url
        self.api_key_variable = api_key_variable
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.options = options
        self.timeout = timeout
        self.streaming = streaming
        self.price_input = price_input
        self.price_output = price_output

    def secret(self) -> str | None:
        return os.environ.get(self._variable)

    @property
    def _variable(self) -> str:
        return self.api_key_variable or "OPENAI_API_KEY"

    def price(self, tokens_in: float, tokens_out: float) -> float | None:
        if self.price_input is None or self.price_output is None:
            return None
        return (tokens_in * self.price_input + tokens_out * self.price_output) / 1e6

    @contextmanager
    def chat_model(self) -> Iterator[BaseChatModel]:
        module, name = _CLASSES[self.provider]
        try:
            chat_class = getattr(importlib.import_module(module), name)
        except ImportError:
            package = module.replace("_", "-")
            raise MissingExtraError(
                f"chat_model with provider '{self.provider}'", package=package, extra=self.provider
            ) from None
        with ExitStack() as closing:
            arguments: dict[str, Any] = {"model": self.model, "temperature": self.temperature}
            arguments |= {"base_url": self.base_url} if self.base_url else {}
            if self.provider == "openai":
                arguments |= self._openai(closing)
            else:
                arguments |= {"num_predict": self.max_tokens, "client_kwargs": {"timeout": self.timeout}}
            try:
                model: BaseChatModel = chat_class(**(arguments | (self.options or {})))
            except Exception as error:  # clients raise many kinds of errors, also pydantic's
                said = " ".join(str(error).split("\n")[:3]) or type(error).__name__
                raise ModelError(f"chat_model '{self.model}' of '{self.provider}' cannot be used: {said}") from None
            if self.provider == "ollama":  # the class has no way to close its connections
                client = getattr(getattr(model, "_client", None), "_client", None)
                closing.callback(getattr(client, "close", lambda: None))
            yield model

    def _openai(self, closing: ExitStack) -> dict[str, Any]:
        from openai import DefaultHttpxClient

        client = closing.enter_context(DefaultHttpxClient(timeout=self.timeout))
        return {
            "max_tokens": self.max_tokens,
            "timeout": self.timeout,
            "max_retries": 0,  # retries are made and counted by this package
            "stream_usage": True,
            "http_client": client,
            **({"streaming": True} if self.streaming else {}),  # False would forbid it where somebody listens
        } | self._key()

    def _key(self) -> dict[str, Any]:
        key = self.secret()
        if key:
            return {"api_key": key}
        if self.base_url is not None and self.api_key_variable is None:
            return {"api_key": _NO_KEY}
        raise ModelError(
            f"chat_model '{self.model}': the environment variable {self._variable} with the key is not set"
        )
