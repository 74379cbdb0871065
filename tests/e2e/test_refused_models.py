"""A checkpoint that does not fit itself is refused: exit code 4, one message, no rank hangs.

Each case damages a small checkpoint; the message names file, tensor, what was expected and found.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from running import make_corpus, make_job, refuse, run_well, said, write_job

from support.compatibility import Compatibility
from support.random_models import MODELS, make_random, save

JOB_ERROR = 2
MODEL_ERROR = 4
WEIGHTS = "model.safetensors"
KEYS = "model.layers.1.self_attn.k_proj.weight"  # [16, 48]
NORM = "model.layers.2.input_layernorm.weight"  # [48]


@dataclass
class Weights:
    """One safetensors file: its header's entries and its data."""

    path: Path
    header: dict[str, Any] = field(init=False)
    data: bytes = field(init=False)

    def __post_init__(self) -> None:
        raw = self.path.read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        self.header = json.loads(raw[8 : 8 + length])
        self.data = raw[8 + length :]

    def write(self) -> None:
        text = json.dumps(self.header).encode()
        self.path.write_bytes(struct.pack("<Q", len(text)) + text + self.data)

    def last(self) -> str:
        """The tensor that lies last."""
        names = [name for name in self.header if name != "__metadata__"]
        return max(names, key=lambda name: self.header[name]["data_offsets"][1])

    def shift(self, name: str, nbytes: int) -> None:
        entry = self.header[name]
        entry["data_offsets"] = [offset + nbytes for offset in entry["data_offsets"]]

    def append(self, name: str, dtype: str, shape: list[int], data: bytes) -> None:
        begin = len(self.data)
        self.data += data
        offsets = [begin, len(self.data)]
        self.header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}

    def remove_last(self) -> str:
        name = self.last()
        begin, _ = self.header.pop(name)["data_offsets"]
        self.data = self.data[:begin]
        return name


def truncate_data(weights: Weights) -> list[str]:
    weights.data = weights.data[:-100]
    size = len(weights.data)
    return [weights.last(), f"within {size} bytes", f"ending at {size + 100}", "truncated"]


def truncate_in_the_header(weights: Weights) -> list[str]:
    weights.path.write_bytes(weights.path.read_bytes()[:100])
    return ["truncated", "a file of 100 bytes"]


def truncate_to_nothing(weights: Weights) -> list[str]:
    weights.path.write_bytes(b"")
    return ["truncated: expected at least 8 bytes, found 0"]


def spoil_the_header(weights: Weights) -> list[str]:
    weights.path.write_bytes(struct.pack("<Q", 4) + b"oops")
    return ["the header is not a JSON object"]


def overlap(weights: Weights) -> list[str]:
    begin = weights.header[KEYS]["data_offsets"][0]
    weights.shift(KEYS, -64)
    return [KEYS, f"overlaps another tensor's: expected its data at offset {begin}"]


def leave_a_hole(weights: Weights) -> list[str]:
    last = weights.last()
    begin = weights.header[last]["data_offsets"][0]
    weights.shift(last, 64)
    weights.data += bytes(64)
    return [last, "leaves a hole", f"expected its data at offset {begin}, found {begin + 64}"]


def pass_the_end(weights: Weights) -> list[str]:
    last = weights.last()
    weights.shift(last, 1 << 40)
    return [last, f"out of range: expected its data within {len(weights.data)} bytes"]


def add_bytes(weights: Weights) -> list[str]:
    weights.data += bytes(8)
    return [f"expected {len(weights.data) - 8} bytes of data", f"found {len(weights.data)}"]


def transpose(weights: Weights) -> list[str]:
    weights.header[KEYS]["shape"].reverse()
    return [KEYS, "expected shape [16, 48]", "found [48, 16]", "config.json"]


def change_size(weights: Weights) -> list[str]:
    weights.header[KEYS]["shape"] = [16, 47]
    return [KEYS, f"expected {16 * 47 * 4} bytes for F32 [16, 47]", "data_offsets"]


def use_integers(weights: Weights) -> list[str]:
    weights.header[KEYS]["dtype"] = "I32"
    return [KEYS, 'dtype: expected F64, F32, BF16 or F16, found "I32"']


def leave_out(weights: Weights) -> list[str]:
    name = weights.remove_last()
    return [name, "missing", "with shape", "config.json"]


def add_unused(weights: Weights) -> list[str]:
    weights.append("model.layers.0.extra.weight", "F32", [2, 3], bytes(24))
    return ["model.layers.0.extra.weight", "not used by a model of type", "[2, 3]"]


DAMAGES: list[Callable[[Weights], list[str]]] = [
    truncate_data,
    truncate_in_the_header,
    truncate_to_nothing,
    spoil_the_header,
    overlap,
    leave_a_hole,
    pass_the_end,
    add_bytes,
    transpose,
    change_size,
    use_integers,
    leave_out,
    add_unused,
]
WRITES_ITSELF = (truncate_in_the_header, truncate_to_nothing, spoil_the_header)


@pytest.fixture
def broken(model: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be damaged."""
    shutil.copytree(model, tmp_path / "broken")
    return tmp_path / "broken"


@pytest.fixture
def job(broken: Path, tmp_path: Path) -> Path:
    corpus = make_corpus(tmp_path / "corpus.h5", 200)
    return write_job(tmp_path / "job.toml", make_job(broken, corpus, tmp_path / "sweep.h5"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights(damage: Callable[[Weights], list[str]], broken: Path, job: Path) -> None:
    weights = Weights(broken / WEIGHTS)
    words = damage(weights)
    if damage not in WRITES_ITSELF:
        weights.write()
    refuse(job, MODEL_ERROR, str(broken / WEIGHTS if damage is not leave_out else broken), *words)
    assert not (job.parent / "sweep.h5.segments").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_hidden_layers": 5}, ["model.layers.4.", "missing"]),
        ({"num_hidden_layers": 3}, ["model.layers.3.", "not used", "3 layers"]),
        ({"intermediate_size": 81}, [".mlp.", "expected shape [81, 48]", "found [80, 48]"]),
        ({"tie_word_embeddings": False, "vocab_size": 96}, ["expected shape [96, 48]", "[97, 48]"]),
        ({"attention_bias": True}, [".self_attn.q_proj.bias", "missing", "[48]"]),
        (
            {"model_type": "llama5"},
            ['"model_type": expected one of the types that "actsweep models" lists', 'found "llama5"'],
        ),
        (
            {"quantization_config": {"bits": 4}},
            ['"quantization_config.quant_method" is missing', 'expected one of "fp8"'],
        ),
        ({"hidden_act": "mish"}, ['"hidden_act"', '"silu"', '"mish"']),
        ({"num_key_value_heads": 4}, ['"num_key_value_heads": expected a divisor', "found 4 and 6"]),
        ({"hidden_size": "48"}, ['"hidden_size": expected a whole number, found "48"']),
        ({"rms_norm_eps": None}, ['"rms_norm_eps": expected a floating-point number, found null']),
        (
            {"rope_scaling": {"rope_type": "proportional"}},
            ['"rope_scaling.rope_type"', '"llama3"', '"proportional"'],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_config_that_contradicts_the_weights(
    change: dict[str, Any], words: list[str], broken: Path, job: Path
) -> None:
    path = broken / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refuse(job, MODEL_ERROR, str(broken), *words)


def test_config_that_is_no_json(broken: Path, job: Path) -> None:
    (broken / "config.json").write_text("{")
    refuse(job, MODEL_ERROR, str(broken / "config.json"), "is not JSON")


def test_no_config(broken: Path, job: Path) -> None:
    (broken / "config.json").unlink()
    refuse(job, MODEL_ERROR, str(broken / "config.json"), "cannot be read")


def test_no_weights(broken: Path, job: Path) -> None:
    (broken / WEIGHTS).unlink()
    refuse(job, MODEL_ERROR, str(broken), "model.safetensors.index.json", "found neither")


def write_index(directory: Path, change: dict[str, Any]) -> None:
    """An index over one shard, with some places changed."""
    (directory / WEIGHTS).rename(directory / ONLY_SHARD)
    weights = Weights(directory / ONLY_SHARD)
    places: dict[str, Any] = {name: ONLY_SHARD for name in weights.header if name != "__metadata__"}
    places.update(change)
    index = {"weight_map": {name: place for name, place in places.items() if place is not None}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


SHARD = "model-00002-of-00002.safetensors"
ONLY_SHARD = "model-00001-of-00001.safetensors"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({KEYS: SHARD}, [SHARD, "missing", "names it", "download the rest"]),
        ({KEYS: 3}, [f"tensor {KEYS}: expected a file name, found 3"]),
        ({KEYS: f"../{SHARD}"}, [KEYS, "expected a file of this directory", f"../{SHARD}"]),
    ],
    ids=["missing shard", "no name", "elsewhere"],
)
def test_index_that_does_not_fit(
    change: dict[str, Any], words: list[str], broken: Path, job: Path
) -> None:
    write_index(broken, change)
    refuse(job, MODEL_ERROR, str(broken), *words)


def test_index_without_a_map(broken: Path, job: Path) -> None:
    (broken / WEIGHTS).unlink()
    (broken / "model.safetensors.index.json").write_text("{}")
    refuse(job, MODEL_ERROR, "model.safetensors.index.json", '"weight_map"')


def test_undamaged_copy_is_no_error(broken: Path, job: Path) -> None:
    """What is refused above is refused for its damage alone."""
    write_index(broken, {})
    Weights(broken / ONLY_SHARD).write()
    run_well(job, 2)


LACKING = {
    ("llama", "kv_latent"): "llama has no latent attention",
    ("llama", "q_latent"): "llama makes no latent of queries",
    ("deepseek_v2", "q_latent"): "deepseek_v2 makes no latent of queries",
    ("bamba", "state_output"): "bamba has no state space beside attention",
}


@pytest.mark.parametrize(("family", "site"), LACKING)
@pytest.mark.parametrize("section", ["statistics", "capture"])
def test_sites_that_a_model_lacks_are_not_measured(
    section: str, family: str, site: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    model = next(model for model in MODELS if model.family == family)
    assert model.config.get("q_lora_rank") is None
    directory = save(make_random(model), model, tmp_path / "model")
    corpus = make_corpus(tmp_path / "corpus.h5", 64, vocabulary=model.vocabulary)
    job = write_job(tmp_path / "job.toml", make_job(directory, corpus, tmp_path / "sweep.h5"))
    sites = f'{section}.sites=["{site}"]'
    error = said(refuse(job, JOB_ERROR, ranks=1, sets=["parallel.tensor=1", sites]))
    assert error == f'[{section}] sites: "{site}": {LACKING[family, site]}', error
    compatibility("Checkpoints", f"`{family}` without that site, and `{sites}`", "refused", error)


OF_HEADS = (
    'statistics.sites=["query"]', 'statistics.sites=["key"]', 'statistics.sites=["value"]',
    'statistics.sites=["attention_heads"]', 'capture.sites=["value"]', "capture.attention=true",
    'statistics.attention=["position:0"]', "statistics.query_key=true",
)  # fmt: skip


@pytest.mark.parametrize("key", OF_HEADS)
def test_heads_of_two_sizes_are_not_measured(
    key: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    model = next(model for model in MODELS if model.family == "gemma4_text")
    directory = save(make_random(model), model, tmp_path / "model")
    corpus = make_corpus(tmp_path / "corpus.h5", 64, vocabulary=model.vocabulary)
    job = write_job(tmp_path / "job.toml", make_job(directory, corpus, tmp_path / "sweep.h5"))
    error = said(refuse(job, JOB_ERROR, ranks=1, sets=["parallel.tensor=1", key]))
    section, _, name = key.partition("=")[0].partition(".")
    assert error.startswith(f"[{section}] {name}: "), error
    assert "gemma4_text has heads of two sizes in its layers, which are not measured" in error
    compatibility("Checkpoints", f"heads of two sizes, and `{key}`", "refused", error)
