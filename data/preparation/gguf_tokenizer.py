"""A GGUF file's vocabulary -> tokenizer.json and tokenizer_config.json.

In: the `tokenizer.*` fields of a GGUF file. Out: a `tokenizers.Tokenizer` and the content of the
JSON files beside it. `tokenizer.ggml.pre` names the pre-tokenizer, without which numbers and spaces
split at the wrong places; only those in PRE_TOKENIZERS are known. Refuses another tokenizer model,
an unknown pre-tokenizer, and merges outside the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import PreTokenizer

from preparation.errors import MODEL, PreparationError

# Values of tokenizer.ggml.token_type, as llama.cpp numbers them.
CONTROL = 3
USER_DEFINED = 4

SPECIAL_ROLES = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}


def _smollm() -> PreTokenizer:
    """Every digit by itself, then GPT-2's expression."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


PRE_TOKENIZERS: dict[str, Callable[[], PreTokenizer]] = {"smollm": _smollm}


class GgufTokenizer:
    """The tokenizer that a GGUF file describes. `fields` maps GGUF keys to plain Python values."""

    def __init__(self, path: str, fields: dict[str, Any]) -> None:
        self._path = path
        self._fields = fields
        self._tokens: list[str] = self._required("tokenizer.ggml.tokens")

    def special_ids(self) -> dict[str, int]:
        """{"bos_token": id, …} for the roles that the file fills."""
        return {
            role: self._fields[key] for role, key in SPECIAL_ROLES.items() if key in self._fields
        }

    def tokenizer(self) -> Tokenizer:
        model_name = self._required("tokenizer.ggml.model")
        if model_name != "gpt2":
            self._refuse(
                f'tokenizer.ggml.model is "{model_name}", expected "gpt2" (byte-level BPE)'
            )
        pre = self._required("tokenizer.ggml.pre")
        if pre not in PRE_TOKENIZERS:
            known = ", ".join(sorted(PRE_TOKENIZERS))
            self._refuse(
                f'tokenizer.ggml.pre is "{pre}", whose pre-tokenizer is not known here (known:'
                f" {known})"
            )
        tokenizer = Tokenizer(self._byte_pair_model())
        tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre]()
        tokenizer.decoder = decoders.ByteLevel()
        types = self._required("tokenizer.ggml.token_type")
        for token, kind in zip(self._tokens, types, strict=True):
            if kind == CONTROL:
                tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
            elif kind == USER_DEFINED:
                tokenizer.add_tokens([AddedToken(token, normalized=False)])
        if self._fields.get("tokenizer.ggml.add_bos_token", False):
            bos = self._special_tokens()["bos_token"]
            tokenizer.post_processor = processors.TemplateProcessing(
                single=f"{bos} $A",
                pair=f"{bos} $A {bos}:1 $B:1",
                special_tokens=[(bos, self.special_ids()["bos_token"])],
            )
        return tokenizer

    def tokenizer_config(self, max_length: int) -> dict[str, Any]:
        """The content of tokenizer_config.json."""
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_length,
            "clean_up_tokenization_spaces": False,
            **self._special_tokens(),
        }
        if "tokenizer.chat_template" in self._fields:
            config["chat_template"] = self._fields["tokenizer.chat_template"]
        return config

    def _byte_pair_model(self) -> BPE:
        vocabulary = {token: number for number, token in enumerate(self._tokens)}
        if len(vocabulary) != len(self._tokens):
            self._refuse("tokenizer.ggml.tokens holds a token twice")
        merges = [tuple(merge.split(" ")) for merge in self._required("tokenizer.ggml.merges")]
        for merge in merges:
            if len(merge) != 2 or "".join(merge) not in vocabulary:
                self._refuse(f"the merge {merge} makes no token of the vocabulary")
        return BPE(vocab=vocabulary, merges=merges)

    def _special_tokens(self) -> dict[str, str]:
        return {role: self._tokens[number] for role, number in self.special_ids().items()}

    def _required(self, key: str) -> Any:
        if key not in self._fields:
            self._refuse(f"there is no field {key}")
        return self._fields[key]

    def _refuse(self, found: str) -> None:
        raise PreparationError(MODEL, f"{self._path}: {found}")
