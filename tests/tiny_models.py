"""Small models with random weights, saved to disk as real ones are and loaded by the real libraries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def words_of(texts: Iterable[str]) -> list[str]:
    return sorted({word for text in texts for word in text.lower().replace(":", " : ").split()})


def _tokenizer(words: list[str], folder: Path, *, longest: int = 64) -> int:
    """Words as tokens, between [CLS] and [SEP]; the size of the vocabulary."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "eos_token": "[SEP]",
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=longest, **names).save_pretrained(folder)
    return len(vocabulary)


def encoder(words: list[str], folder: Path) -> str:
    """A sentence-transformers model of 32 dimensions."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    size = _tokenizer(words, folder / "bert")
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, hidden_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "bert")
    model = SentenceTransformer(
        modules=[Transformer(str(folder / "bert")), Pooling(32, "mean"), Normalize()], device="cpu"
    )
    model.save(str(folder / "encoder"), create_model_card=False)
    return str(folder / "encoder")


def _masked(words: list[str], folder: Path) -> None:
    """A masked language model of 32 dimensions with its tokenizer."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    size = _tokenizer(words, folder)
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, hidden_dropout_prob=0.0, initializer_range=0.3,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)


def splade(words: list[str], folder: Path, *, inference_free: bool = False) -> str:
    """A sparse encoder: SPLADE for both sides, or for documents only, with a table of weights for queries."""
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sentence_transformer.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
    from transformers import AutoTokenizer

    _masked(words, folder / "masked")
    documents = [Transformer(str(folder / "masked"), transformer_task="fill-mask"), SpladePooling("max")]
    if inference_free:
        tokenizer = AutoTokenizer.from_pretrained(folder / "masked")
        weights = torch.linspace(0.5, 2.0, len(tokenizer))
        table = SparseStaticEmbedding(tokenizer, weight=weights, frozen=True)
        modules = [Router.for_query_document(query_modules=[table], document_modules=documents)]
    else:
        modules = documents
    model = SparseEncoder(modules=modules, similarity_fn_name="dot", device="cpu")
    model.save(str(folder / "splade"), create_model_card=False)
    return str(folder / "splade")


def sparse_autoencoder(words: list[str], folder: Path) -> str:
    """A sparse encoder whose terms are features of the pooled vector (CSR)."""
    from sentence_transformers import SentenceTransformer, SparseEncoder
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    dense = SentenceTransformer(encoder(words, folder), device="cpu")
    model = SparseEncoder(
        modules=[*list(dense.children())[:2], SparseAutoEncoder(32, hidden_dim=256, k=6)], device="cpu"
    )
    model.save(str(folder / "csr"), create_model_card=False)
    return str(folder / "csr")


def multi_vector(
    words: list[str], folder: Path, *, dimension: int = 8, skipped: Iterable[str] = (), pool_factor: int = 1
) -> str:
    """A late-interaction checkpoint, as ``MultiVectorEncoder`` saves it: a projection of 32 to 8 dimensions."""
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    transformer = SentenceTransformer(encoder(words, folder), device="cpu")[0]
    project = Dense(32, dimension, bias=False, activation_function=None, module_input_name="token_embeddings")
    modules = [
        transformer,
        project,
        MultiVectorMask(list(skipped) or None),
        Normalize(module_input_name="token_embeddings"),
        *([HierarchicalTokenPooling(pool_factor=pool_factor)] if pool_factor > 1 else []),
    ]
    MultiVectorEncoder(modules=modules, device="cpu").save(str(folder / "colbert"), create_model_card=False)
    return str(folder / "colbert")


def cross_encoder(words: list[str], folder: Path) -> str:
    """A cross-encoder of 32 dimensions."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    size = _tokenizer(words, folder)
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, hidden_dropout_prob=0.0, num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


def sequence_to_sequence(words: list[str], folder: Path) -> str:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    size = _tokenizer(words, folder)
    config = T5Config(
        vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0, eos_token_id=3,
        decoder_start_token_id=0,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def causal(words: list[str], folder: Path, *, chat_template: str | None = None) -> str:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = _tokenizer(words, folder)
    config = LlamaConfig(
        vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    if chat_template is not None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = chat_template
        tokenizer.save_pretrained(folder)
    return str(folder)


def clip(folder: Path) -> str:
    """A CLIP of one layer and 8 dimensions that knows letters, for images of 16 pixels; its folder."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

    torch.manual_seed(0)
    letters = [chr(code) for code in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=20)
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(words), "max_position_embeddings": 20, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(
        text_config={**shared, **text, "pad_token_id": 1, "projection_dim": 8},
        vision_config={**shared, "image_size": 16, "patch_size": 8, "projection_dim": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return str(folder)
