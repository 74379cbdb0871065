"""The tokenizer that data/prepare_model.py makes of a GGUF file gives the ids of transformers' own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GPT2Tokenizer, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

import small_tokenizers as small
from preparing import ENGLISH, run_well
from support.compatibility import Compatibility
from support.gguf_files import llama, write_gguf

TEXTS = [
    ENGLISH[:3000],
    "He'LL say 1234567 things,  or 日本語 — naïve!\n\n\t x\r\n  end  ",
    "cafe\u0301 3.14159 <s> we're   fine",
]
UNKNOWN, CONTROL, BYTE, NORMAL = 2, 3, 6, 1
Ids = Callable[[str], list[int]]


def merges_of(tokenizer: Tokenizer) -> list[str]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def as_tiktoken(tokens: list[str], folder: Path) -> Tokenizer:
    """Llama 3's, which transformers makes of a tiktoken file."""
    raw = [base64.b64encode(one).decode() for one in small.token_bytes(tokens)]
    path = folder / "tokenizer.model"
    path.write_text("".join(f"{one} {rank}\n" for rank, one in enumerate(raw)))
    return TikTokenConverter(vocab_file=str(path)).converted()


def transformers_ids(pre: str, tokens: list[str], merges: list[str], folder: Path) -> Ids:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if pre == "llama-bpe":
        tokenizer = as_tiktoken(tokens, folder)
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    kind: Any = {"gpt-2": GPT2Tokenizer, "qwen2": Qwen2Tokenizer}[pre]
    pairs = [tuple(merge.split(" ")) for merge in merges]
    made = kind(vocab=vocabulary, merges=pairs, **dict.fromkeys(("unk_token", "eos_token", "pad_token")))
    return lambda text: made(text, add_special_tokens=False).input_ids


def converted(fields: dict[str, Any], vocabulary: int, folder: Path) -> Ids:
    model = llama(vocab_size=vocabulary, hidden_size=24)
    path = write_gguf(folder / "m.gguf", model, {"llama.vocab_size": vocabulary, **fields})
    run_well("prepare_model.py", "gguf", path, folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    return lambda text: tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("pre", ["gpt-2", "llama-bpe", "qwen2"])
def test_byte_level_ids_are_those_of_transformers(
    pre: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    trained = small.bytes_alone()
    tokens, merges = small.tokens_of(trained), merges_of(trained)
    fields = {
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [NORMAL] * len(tokens),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": None,
        "tokenizer.ggml.eos_token_id": None,
    }
    ids = converted(fields, len(tokens), tmp_path)
    expected = transformers_ids(pre, tokens, merges, tmp_path)
    for text in TEXTS:
        assert ids(text) == expected(text)
    compatibility("GGUF files", f"`tokenizer.ggml.pre` {pre}", "read")


def test_llama_2s_ids_are_those_of_its_tokenizer(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    """A space before the text, and bytes for what has no token."""
    original = small.byte_fallback()
    tokens = small.tokens_of(original)
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (len(tokens) - 259)]
    assert tokens[3] == "<0x00>" and tokens[258] == "<0xFF>"
    fields = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    ids = converted(fields, len(tokens), tmp_path)
    for text in TEXTS:
        assert ids(text) == original.encode(text, add_special_tokens=False).ids
    compatibility("GGUF files", "SentencePiece with a space before the text (Llama 2)", "read")
