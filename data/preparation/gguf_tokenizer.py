"""A GGUF file's vocabulary -> tokenizer.json and tokenizer_config.json.

In: the `tokenizer.*` fields of a GGUF file. Out: a `tokenizers.Tokenizer` and the content of the
JSON files beside it. In byte-level BPE, `tokenizer.ggml.pre` names the pre-tokenizer, without which
numbers and spaces split at the wrong places; only those in PRE_TOKENIZERS are known. SentencePiece
is known where the order of the tokens gives the merges, as in Gemma and Llama 2. Another tokenizer
model or pre-tokenizer is an UnknownTokenizer: its model can be converted without it. Refuses lists
of other lengths or types, ids and merges outside the vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NoReturn

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import PreTokenizer

from preparation.errors import MODEL, PreparationError
from preparation.gguf_file import shown
from preparation.vocabulary import WORD_BEGIN

# Values of tokenizer.ggml.token_type, as llama.cpp numbers them.
NORMAL = 1
CONTROL = 3
USER_DEFINED = 4

SPECIAL_ROLES = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}


# What a word may be, as GPT-4's tokenizer has it; digits stand `DIGITS` together.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class UnknownTokenizer(Exception):
    """A tokenizer that is not known here; the message names the field."""


def _gpt2() -> PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _smollm() -> PreTokenizer:
    """Every digit by itself, then GPT-2's expression."""
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


def _words(digits: str) -> Callable[[], PreTokenizer]:
    def build() -> PreTokenizer:
        split = pre_tokenizers.Split(Regex(WORDS.replace("DIGITS", digits)), "isolated")
        plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return pre_tokenizers.Sequence([split, plain])

    return build


def _with_marks(token: str) -> str:
    """A run of spaces as the vocabulary's merges spell it; any other token as it is."""
    return WORD_BEGIN * len(token) if token and not token.strip(" ") else token


PRE_TOKENIZERS: dict[str, Callable[[], PreTokenizer]] = {
    "gpt-2": _gpt2,
    "llama-bpe": _words("{1,3}"),
    "qwen2": _words(""),
    "refact": _smollm,
    "smollm": _smollm,
    "starcoder": _smollm,
}
NORMALISED = ("qwen2",)  # to composed characters (NFC)
WHOLE_TOKENS_FIRST = ("llama-bpe",)  # a word that is a token is not merged from its parts


class GgufTokenizer:
    """The tokenizer that a GGUF file describes. `fields` maps GGUF keys to plain Python values."""

    def __init__(self, path: str, fields: dict[str, Any]) -> None:
        self._path = path
        self._fields = fields
        self._tokens: list[str] = self._list("tokenizer.ggml.tokens", str)
        self._kinds: list[int] = self._list("tokenizer.ggml.token_type", int, len(self._tokens))

    def special_ids(self) -> dict[str, int]:
        """{"bos_token": id, …} for the roles that the file fills."""
        ids = {}
        for role, key in SPECIAL_ROLES.items():
            if key not in self._fields:
                continue
            ids[role] = self._fields[key]
            if type(ids[role]) is not int or not 0 <= ids[role] < len(self._tokens):
                self._refuse(
                    f"{key} is {shown(ids[role])}, expected a token below {len(self._tokens):,}"
                )
        return ids

    def tokenizer(self) -> Tokenizer:
        model_name = self._required("tokenizer.ggml.model")
        builders = {"gpt2": self._byte_level, "llama": self._sentencepiece}
        if not isinstance(model_name, str) or model_name not in builders:
            raise UnknownTokenizer(
                f'tokenizer.ggml.model is {shown(model_name)}, expected "gpt2" (byte-level BPE) or'
                ' "llama" (SentencePiece)'
            )
        tokenizer = builders[model_name]()
        self._add_whole_tokens(tokenizer)
        begin = self._added("bos", model_name == "llama")
        end = self._added("eos", False)
        if begin or end:
            one = [*begin, "$A:0", *end]
            tokenizer.post_processor = processors.TemplateProcessing(
                single=one,
                pair=[*one, *(f"{token}:1" for token in begin), "$B:1", *(f"{t}:1" for t in end)],
                special_tokens=[
                    (token, self.special_ids()[f"{role}_token"])
                    for role, tokens in (("bos", begin), ("eos", end))
                    for token in tokens
                ],
            )
        return tokenizer

    def _added(self, role: str, default: bool) -> list[str]:
        """The token that stands before or behind every text, in a list of one, or of none."""
        key = f"tokenizer.ggml.add_{role}_token"
        is_added = self._fields.get(key, default)
        if not isinstance(is_added, bool):
            self._refuse(f"{key} is {shown(is_added)}, expected true or false")
        tokens = self._special_tokens()
        if is_added and f"{role}_token" not in tokens:
            self._refuse(f"{key} is true, and there is no field {SPECIAL_ROLES[f'{role}_token']}")
        return [tokens[f"{role}_token"]] if is_added else []

    def _byte_level(self) -> Tokenizer:
        pre = self._required("tokenizer.ggml.pre")
        if not isinstance(pre, str) or pre not in PRE_TOKENIZERS:
            known = ", ".join(sorted(PRE_TOKENIZERS))
            raise UnknownTokenizer(
                f"tokenizer.ggml.pre is {shown(pre)}, whose pre-tokenizer is not known here (known:"
                f" {known})"
            )
        tokenizer = Tokenizer(self._byte_pair_model(ignore_merges=pre in WHOLE_TOKENS_FIRST))
        if pre in NORMALISED:
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre]()
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    def _sentencepiece(self) -> Tokenizer:
        """Spaces become `WORD_BEGIN`, what has no token becomes bytes; as transformers' Gemma, and
        with a space before the text as its Llama."""
        has_prefix = self._fields.get("tokenizer.ggml.add_space_prefix", True)
        vocabulary = self._vocabulary([_with_marks(token) for token in self._tokens])
        merges = self._merges_by_order(vocabulary)
        unknown = self._special_tokens().get("unk_token")
        model = BPE(
            vocab=vocabulary, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True
        )
        tokenizer = Tokenizer(model)
        spaces = normalizers.Replace(" ", WORD_BEGIN)
        words = [decoders.Replace(WORD_BEGIN, " "), decoders.ByteFallback(), decoders.Fuse()]
        if has_prefix:
            spaces = normalizers.Sequence([normalizers.Prepend(WORD_BEGIN), spaces])
            words.append(decoders.Strip(" ", 1, 0))
        tokenizer.normalizer = spaces
        tokenizer.decoder = decoders.Sequence(words)
        return tokenizer

    def _merges_by_order(self, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
        """The merges that the vocabulary implies: each token out of any two others, earlier tokens
        first. Another order is that of a tokenizer that is not known."""
        kinds = self._kinds
        scores = self._list("tokenizer.ggml.scores", float, len(kinds))
        ordered = [score for score, kind in zip(scores, kinds, strict=True) if kind == NORMAL]
        if any(later > earlier for earlier, later in itertools.pairwise(ordered)):
            raise UnknownTokenizer("tokenizer.ggml.scores do not fall from token to token, as Gemma's do")
        merges = []
        for token, number in vocabulary.items():
            if kinds[number] not in (NORMAL, USER_DEFINED):
                continue
            for cut in range(len(token) - 1, 0, -1):
                if token[:cut] in vocabulary and token[cut:] in vocabulary:
                    merges.append((token[:cut], token[cut:]))
        return merges

    def _add_whole_tokens(self, tokenizer: Tokenizer) -> None:
        """Tokens that are found in a text before any other: the special ones, and those that the
        vocabulary's maker listed, but for runs of spaces, which merges find."""
        special, listed = [], []
        for token, kind in zip(self._tokens, self._kinds, strict=True):
            if kind == CONTROL:
                special.append(AddedToken(token, special=True, normalized=False))
            elif kind == USER_DEFINED and token == _with_marks(token):
                listed.append(AddedToken(token, normalized=False))
        tokenizer.add_special_tokens(special)
        tokenizer.add_tokens(listed)

    def tokenizer_config(self, max_length: int) -> dict[str, Any]:
        """The content of tokenizer_config.json."""
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_length,
            "clean_up_tokenization_spaces": False,
            **self._special_tokens(),
        }
        template = self._fields.get("tokenizer.chat_template")
        if template is not None:
            if not isinstance(template, str):
                self._refuse(f"tokenizer.chat_template is {shown(template)}, expected a text")
            config["chat_template"] = template
        return config

    def _vocabulary(self, tokens: list[str]) -> dict[str, int]:
        vocabulary = {token: number for number, token in enumerate(tokens)}
        if len(vocabulary) != len(tokens):
            self._refuse("tokenizer.ggml.tokens holds a token twice")
        return vocabulary

    def _byte_pair_model(self, ignore_merges: bool) -> BPE:
        vocabulary = self._vocabulary(self._tokens)
        merges = [tuple(merge.split(" ")) for merge in self._list("tokenizer.ggml.merges", str)]
        for merge in merges:
            if len(merge) != 2 or any(part not in vocabulary for part in (*merge, "".join(merge))):
                self._refuse(f"the merge {merge} does not make a token of the vocabulary from two others")
        return BPE(vocab=vocabulary, merges=merges, ignore_merges=ignore_merges)

    def _special_tokens(self) -> dict[str, str]:
        return {role: self._tokens[number] for role, number in self.special_ids().items()}

    def _required(self, key: str) -> Any:
        if key not in self._fields:
            self._refuse(f"there is no field {key}")
        return self._fields[key]

    def _list(self, key: str, kind: type, length: int | None = None) -> list[Any]:
        """A list of values of one type, of a length or of any from 1 up."""
        values = self._required(key)
        if not isinstance(values, list) or any(type(value) is not kind for value in values):
            expected = {str: "texts", int: "whole numbers", float: "real numbers"}[kind]
            self._refuse(f"{key} is {shown(values)}, expected a list of {expected}")
        if len(values) != length if length is not None else not values:
            expected = "at least one" if length is None else f"{length:,} as of tokens"
            self._refuse(f"{key} has {len(values):,} entries, expected {expected}")
        return values

    def _refuse(self, found: str) -> NoReturn:
        raise PreparationError(MODEL, f"{self._path}: {found}")
