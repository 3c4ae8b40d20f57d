"""Small random models, saved and loaded by the real library, against generating one text at a time."""

from __future__ import annotations

import re

import pytest

from rag import ConfigError, Ledger, ModelError, Source, Store, Turn
from rag.listening import listening
from rag.summarizers import TransformersSummarizer
from rag.summarizers.transformers import _loaded
from tests import tiny_models

WORDS = tiny_models.words_of(["user agent : cat dog fish tree house car train summarize the text below write"])
TEMPLATE = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}agent :"
SOURCES = [Source(str(number), " ".join((WORDS * 3)[number : number + 2 + number % 5])) for number in range(9)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "seq2seq": tiny_models.sequence_to_sequence(WORDS, folder / "t5"),
        "causal": tiny_models.causal(WORDS, folder / "llama"),
        "chat": tiny_models.causal(WORDS, folder / "chat", chat_template=TEMPLATE),
    }


def alone(path, prompt, max_tokens):
    """What the library writes for one prompt, nothing batched, nothing padded."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    seq2seq = path.endswith("t5")
    model = (AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM).from_pretrained(path).eval()
    tokens = tokenizer(prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template)
    written = model.generate(
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"],
        max_new_tokens=max_tokens,
        do_sample=False,
    )
    written = written[0] if seq2seq else written[0, tokens["input_ids"].shape[1] :]
    return tokenizer.decode(written, skip_special_tokens=True).strip()


@pytest.mark.parametrize("kind", ["seq2seq", "causal", "chat"])
def test_a_listener_hears_words(kind, models):
    pieces: list[str] = []
    writer = TransformersSummarizer(models[kind], max_tokens=6, device="cpu").prompted()
    with listening(pieces.append):
        [answer] = writer.ask(["summarize cat dog fish"])
    assert "".join(pieces).strip() == "".join(answer.texts)
    assert len(pieces) > 1


@pytest.mark.parametrize("kind", ["seq2seq", "causal", "chat"])
def test_batches_give_what_one_text_gives(kind, models):
    path = models[kind]
    summarizer = TransformersSummarizer(path, prompt="summarize {text}", max_tokens=6, batch_size=4, device="cpu")
    ledger = Ledger()
    summaries = summarizer.summarize(SOURCES, ledger=ledger)
    for source, (text,) in zip(SOURCES, summaries.texts, strict=True):
        prompt = f"summarize {source.text}"
        expected = alone(path, f"user : {prompt} agent :" if kind == "chat" else prompt, 6)
        assert (expected or source.text) == text
    assert any(text != source.text for source, (text,) in zip(SOURCES, summaries.texts, strict=True))
    assert len({source.text for source in SOURCES}) == ledger.total.llm_calls
    assert ledger.total.llm_tokens > ledger.total.llm_calls


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_drawn_replies_differ_and_tell_their_likelihood(kind, models):
    import torch

    torch.manual_seed(0)
    writer = TransformersSummarizer(models[kind], max_tokens=6, temperature=1.0, device="cpu").prompted()
    drawn = [writer.ask(["summarize cat dog", "fish tree house"], repetition=n) for n in range(4)]
    assert len({reply.texts for replies in drawn for reply in replies}) > 2
    model, tokenizer = _loaded(models[kind], None, "cpu")
    torch.manual_seed(0)
    [(_, n_written, likelihood)] = writer._generate([tokenizer("summarize cat dog")["input_ids"]], model, tokenizer)
    torch.manual_seed(0)
    inputs = tokenizer("summarize cat dog", return_tensors="pt")
    ids = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    written = model.generate(**ids, max_new_tokens=6, do_sample=True, top_k=0, pad_token_id=tokenizer.pad_token_id)
    first = 1 if kind == "seq2seq" else ids["input_ids"].shape[1]
    with torch.inference_mode():
        logits = model(**ids, decoder_input_ids=written).logits if kind == "seq2seq" else model(written).logits
    tokens = written[0, first : first + n_written]
    logs = logits[0, first - 1 : first - 1 + n_written].log_softmax(dim=-1)
    assert likelihood == pytest.approx(float(logs[torch.arange(n_written), tokens].mean()), abs=1e-4)


def test_a_long_text_loses_its_end_and_a_long_conversation_its_beginning(models):
    prompts = {"prompt": "summarize {text}", "conversation_prompt": "{text}"}
    summarizer = TransformersSummarizer(models["causal"], **prompts, max_input=12)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models["causal"])
    tokens = tokenizer.decode(
        summarizer._prompt(Source("a", "cat " * 3 + "dog " * 500), tokenizer), skip_special_tokens=True
    )
    assert tokens.startswith("summarize cat cat cat dog")
    assert len(tokens.split()) <= 10
    spoken = tuple(Turn("user", "dog dog dog") for _ in range(50)) + (Turn("user", "cat"),)
    tokens = tokenizer.decode(summarizer._prompt(Source("a", "", spoken), tokenizer), skip_special_tokens=True)
    assert tokens.endswith("user : cat")
    assert 4 <= len(tokens.split()) <= 10


def test_summaries_are_kept_by_model(models, tmp_path, monkeypatch):
    store = Store(tmp_path)
    first = TransformersSummarizer(models["seq2seq"], max_tokens=4).summarize(SOURCES, store=store)
    monkeypatch.setattr(TransformersSummarizer, "_generate", None)
    assert (
        first.texts
        == TransformersSummarizer(models["seq2seq"], max_tokens=4, batch_size=2).summarize(SOURCES, store=store).texts
    )
    with pytest.raises(TypeError):
        TransformersSummarizer(models["seq2seq"], max_tokens=5).summarize(SOURCES, store=store)


def test_a_model_that_cannot_be_loaded(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot load the model"):
        TransformersSummarizer(str(tmp_path / "empty")).summarize(SOURCES[:1])
    with pytest.raises(ConfigError, match=re.escape("must have the placeholder {text}")):
        TransformersSummarizer("x/y", prompt="no")
