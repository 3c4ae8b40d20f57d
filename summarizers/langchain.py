"""Summarizer over any LangChain chat model object."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast, runtime_checkable

from pydantic import Field

from rag.component import Runtime, WrapsObject
from rag.summarizers.chat import ChatSummarizer
from rag.summarizers.prompts import Task

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["LangChainSummarizer"]


@runtime_checkable
class LangChainChatModel(Protocol):
    """The used part of ``langchain_core.language_models.BaseChatModel``."""

    def invoke(self, input: Any) -> Any: ...
    def with_structured_output(self, schema: Any) -> Any: ...


class LangChainSummarizer(WrapsObject, ChatSummarizer):
    """Wraps a LangChain ``BaseChatModel`` object. Only available from Python: a YAML file cannot hold the object.

    Args:
        chat: The object. Set its own retries to 0, since they multiply with ``retries``.
        name: Identity of its results (provider, model, parameters). Without a name nothing is reused from the store,
            since objects cannot be compared.
    """

    type = "langchain"

    def __init__(
        self,
        chat: LangChainChatModel,
        *,
        name: str | None = None,
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
        self.chat = chat
        self.name = name

    def _identity(self) -> dict[str, Any]:
        return ChatSummarizer._identity(self) | {"chat": self._known_as, "name": self.name}

    def chat_model(self) -> AbstractContextManager[BaseChatModel]:
        return nullcontext(cast("BaseChatModel", self.chat))
