"""What the checkpoints of training and of the tests share: a tokenizer trained in place, a chat template, saving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.transformers_names import without_bar

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

QWEN_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

QWEN_CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# What the tokenizer's merges are learnt from: enough dialogue that common words become one token.
_CORPUS = (
    "You are a helpful assistant. system user assistant",
    "Are you ready over there? Yes, whenever you are. Then this one is for you, in the front row.",
    "I did not expect that. Did you see who came in? She is talking to the person on the left.",
    "Who is speaking to whom in the last sentence? Who does he look at while she is talking?",
    "Anna: Hello Ben, how are you today? Ben: Hello Anna, I am fine, thank you. What about you?",
    "Performer: Thank you all for coming tonight. Pianist: It is a pleasure. Guest: We love the music.",
    "Answer with one of the options. Options: left, right, both, nobody. The answer is the speaker.",
    "Frame from 00:00: 0.5 seconds video image picture of two people in a room with a table and a lamp",
)


def tiny_text_config(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Sizes that every tiny decoder shares, with the ids of this tokenizer not the big vocabulary's."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def train_tokenizer(
    special_tokens: Sequence[str],
    *,
    eos: str,
    pad: str,
    bos: str | None = None,
    begin: bool = True,
    vocab_size: int = 800,
    corpus: Sequence[str] = _CORPUS,
    attributes: dict[str, str] | None = None,
) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer in place.

    Args:
        special_tokens: The family's special tokens, in order.
        eos: Token that ends an answer; one of `special_tokens`.
        pad: Padding token; one of `special_tokens`.
        bos: Token that begins a text, None for none.
        begin: Whether the tokenizer itself puts `bos` before every text (a chat template may do it instead).
        vocab_size: Size of the vocabulary, the 256 bytes and the special tokens included.
        corpus: Texts that the merges are learnt from.
        attributes: Further names of special tokens that the family's processor asks for
            (`{"image_token": "<image>"}`).

    Returns:
        A fast tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    # trim_offsets=False: a token's span holds its leading space, as its bytes do
    byte_level = processors.ByteLevel(trim_offsets=False)
    tokenizer.post_processor = byte_level
    if bos is not None and begin:
        leading = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
        tokenizer.post_processor = processors.Sequence([byte_level, leading])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        padding_side="left",
        extra_special_tokens=attributes or {},
    )


def init_weights(model: nn.Module, *, seed: int, query_key_gain: float = 2.0) -> None:
    """Draw all weights so that signals keep their size with depth and attention is peaked, not uniform.

    Matrices get a standard deviation of 1 / sqrt(fan in), those that make queries and keys `query_key_gain`
    times that (logits then spread by about the gain squared), embeddings 1; biases 0.1; norms stay at 1.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                fan_in = 1 if "embed" in name and "patch" not in name else parameter[0].numel()
                gain = query_key_gain if any(part in name for part in ("q_proj", "k_proj", "qkv")) else 1.0
                parameter.normal_(0.0, gain / math.sqrt(fan_in), generator=generator)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.1, generator=generator)


def save_checkpoint(folder: Path, model: Any, processor: Any, *, seed: int) -> Path:
    """Draw the weights, then write model, processor, tokenizer and chat template to `folder`."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    init_weights(model, seed=seed)
    with torch.no_grad():
        # a row of zeros is never the largest logit: no "<|video_pad|>" in the answer, and no early stop
        special = sorted(processor.tokenizer.added_tokens_decoder)
        model.get_output_embeddings().weight[special] = 0.0
    with without_bar():
        model.eval().save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder
