"""Language models that run locally."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from rag.component import Later, Runtime
from rag.conversation import render
from rag.errors import ModelError
from rag.listening import Listener, listener
from rag.models import Device, model_content, resolve_device, resolve_model, tell
from rag.models.limits import check_length, is_encoder_decoder
from rag.progress import loading
from rag.summarizer import Source, Summarizer, Summary
from rag.summarizers.answers import several, without_thoughts, without_thoughts_heard
from rag.summarizers.prompts import Task, check_template, messages, prompted, template_of

__all__ = ["TransformersSummarizer"]


class TransformersSummarizer(Summarizer):
    """A sequence-to-sequence model (T5, BART, Pegasus, ...) or a causal one, from the Hugging Face Hub, a folder or an
    installed package; in batches of texts of similar length.

    Models with a chat template get the prompts of ``chat_model``, others get the prompt as plain text. For a model
    trained to summarize all input, such as BART on news, set ``prompt: "{text}"``.

    Args:
        model: Hub name, path of a folder, or ``package:NAME/SUBPATH``.
        revision: Commit, tag or branch on the Hub; None takes the main branch.
        task: Kind of text to write when no prompt is given; with ``prompt`` the text is the whole prompt.
        prompt: Template for texts, with ``{text}`` for the text and ``{n}`` for the number of texts wanted.
        conversation_prompt: Template for conversations.
        n_texts: Key texts per text, one per line of the reply.
        max_input: Longest prompt in tokens: a longer text loses its end, a longer conversation its beginning; a longer
            prompt of the task ``prompt`` gets no reply.
        max_tokens: Longest reply in tokens.
        temperature: 0 writes the likeliest token each time; above 0 tokens are drawn, with torch's random numbers, by
            their probabilities to the power ``1 / temperature``, as ``semantic_entropy`` needs.
        batch_size: Number of texts per pass.
        device: ``auto``, or a torch device such as ``cpu`` or ``cuda:0``.
    """

    type = "transformers"
    runs_model = True
    _libraries = ("transformers",)

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        task: Task = "summary",
        prompt: str | None = None,
        conversation_prompt: str | None = None,
        n_texts: Annotated[int, Field(ge=1, le=50)] = 1,
        max_input: Annotated[int, Field(ge=8)] = 1024,
        max_tokens: Annotated[int, Field(ge=1)] = 150,
        temperature: Annotated[float, Field(ge=0), Later()] = 0.0,
        batch_size: Annotated[int, Field(ge=1), Runtime()] = 8,
        device: Annotated[Device, Runtime()] = "auto",
    ) -> None:
        check_template(prompt, "prompt")
        check_template(conversation_prompt, "conversation_prompt")
        self.model = model
        self.revision = revision
        self.task: Task = task
        self.prompt = prompt
        self.conversation_prompt = conversation_prompt
        self.n_texts = n_texts
        self.max_input = max_input
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.batch_size = batch_size
        self.device = device

    def _preflight(self) -> None:
        if is_encoder_decoder(self.model, self.revision):
            check_length("max_input", self.max_input, self.model, self.revision)
            check_length("max_tokens", self.max_tokens, self.model, self.revision)
        else:  # prompt and reply share the context
            both = f" (max_input {self.max_input:,} and max_tokens {self.max_tokens:,})"
            check_length("max_input", self.max_input + self.max_tokens, self.model, self.revision, of=both)

    def _model_digest(self) -> Any:
        return model_content(self.model, self.revision)

    def write(self, sources: Sequence[Source]) -> Iterator[tuple[int, Summary]]:
        model, tokenizer = _loaded(self.model, self.revision, resolve_device(self.device))
        tell(self.model, f"torch (transformers), {str(model.dtype).removeprefix('torch.')}")
        order = sorted(range(len(sources)), key=lambda index: len(sources[index].text), reverse=True)
        for first in range(0, len(order), self.batch_size):
            indices = order[first : first + self.batch_size]
            prompts = {index: self._prompt(sources[index], tokenizer) for index in indices}
            for index, prompt in list(prompts.items()):
                if len(prompt) > self.max_input:
                    why = f"the prompt has {len(prompt):,} tokens, more than max_input ({self.max_input:,})"
                    yield index, Summary((), why)
                    del prompts[index]
            if not prompts:
                continue
            start = time.perf_counter()
            written = self._generate(list(prompts.values()), model, tokenizer)
            took = (time.perf_counter() - start) / len(prompts)
            for (index, prompt), (answer, n_written, likelihood) in zip(prompts.items(), written, strict=True):
                texts = [answer.strip()] if self.n_texts == 1 else several(answer)[: self.n_texts]
                problem = "" if any(texts) else "the model wrote nothing"
                yield index, Summary(tuple(texts), problem, 1, len(prompt) + n_written, n_written, took, likelihood)

    def prompted(self) -> Self:
        return prompted(self)

    def _prompt(self, source: Source, tokenizer: Any) -> list[int]:
        """Tokens of the prompt; the text is shortened until it fits, unless it is the prompt itself."""
        template = template_of(self.task, source, self.prompt, self.conversation_prompt)
        characters = len(render(source.turns) if source.turns else source.text)
        while True:
            tokens = self._tokens(messages(template, source, self.n_texts, [], characters), tokenizer)
            over = 0 if self.task == "prompt" else len(tokens) - self.max_input
            if over <= 0 or characters <= 1:
                return tokens[-self.max_input :] if over > 0 else tokens
            characters = max(1, min(characters - over, int(characters * (1 - over / len(tokens)))))

    @staticmethod
    def _tokens(asked: list[tuple[str, str]], tokenizer: Any) -> list[int]:
        if getattr(tokenizer, "chat_template", None):
            turns = [{"role": role, "content": text} for role, text in asked]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(tokenizer(asked[-1][1])["input_ids"])

    def _generate(self, prompts: list[list[int]], model: Any, tokenizer: Any) -> list[tuple[str, int, float | None]]:
        """Replies, with the number of tokens written for each, and for drawn ones their mean log-probability."""
        import torch

        listen = listener() if len(prompts) == 1 else None
        inputs = tokenizer.pad({"input_ids": prompts}, padding=True, return_tensors="pt").to(model.device)
        drawn: dict[str, Any] = {"do_sample": False}
        if self.temperature:
            drawn = {
                "do_sample": True,
                "temperature": self.temperature,
                "top_k": 0,
                "top_p": 1.0,
                "output_logits": True,
            }
        with torch.inference_mode():
            made = model.generate(
                **inputs,
                max_new_tokens=self.max_tokens,
                pad_token_id=tokenizer.pad_token_id,
                streamer=None if listen is None else _streamer(tokenizer, listen),
                return_dict_in_generate=True,
                **drawn,
            )
        first = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        written = made.sequences[:, first:]
        real = written != tokenizer.pad_token_id
        counts = real.sum(dim=1)
        likelihoods: list[float | None] = [None] * len(prompts)
        if self.temperature:
            logs = torch.stack(made.logits, dim=1).log_softmax(dim=-1).gather(2, written[:, :, None])[:, :, 0]
            likelihoods = ((logs * real).sum(dim=1) / counts.clamp(min=1)).tolist()
        answers = map(without_thoughts, tokenizer.batch_decode(written, skip_special_tokens=True))
        return list(zip(answers, counts.tolist(), likelihoods, strict=True))


def _streamer(tokenizer: Any, listen: Listener) -> Any:
    """Hands the words of a reply to a listener while it is generated."""
    from transformers import TextStreamer

    hear = without_thoughts_heard(listen)

    class Heard(TextStreamer):  # type: ignore[misc, unused-ignore]
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            hear(text)

    return Heard(tokenizer, skip_prompt=True, skip_special_tokens=True)


@functools.cache
def _loaded(name: str, revision: str | None, device: str) -> tuple[Any, Any]:
    """The model and tokenizer, loaded once per process.

    Raises:
        ModelError: They cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    path = resolve_model(name)
    try:
        with loading(name):
            config = AutoConfig.from_pretrained(path, revision=revision)
            cls: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, padding_side="left")
            model: Any = cls.from_pretrained(path, revision=revision).to(device).eval()
    except Exception as error:  # the loaders raise many kinds of errors
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"cannot load the model '{name}' to write summaries: {first}") from error
    if config.is_encoder_decoder:
        tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of '{name}' has neither a padding token nor one for the end of a text")
    return model, tokenizer
