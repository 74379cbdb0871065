"""data/prepare_model.py gguf on a file of each architecture, written with the gguf package from a random
checkpoint of transformers: its weights come back bit for bit, and transformers computes the same."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from preparing import assert_refused, run
from preparation import gguf_checkpoint
from preparation.gguf_architectures import FAMILIES, VARIANTS
from support.compatibility import Compatibility
from support.gguf_architectures import CASES
from support.gguf_cases import Case, is_packed, write_case
from support.gguf_state_cases import FACTORED

IDS = torch.tensor([[0, 4, 2, 3, 3, 5, 2, 4, 1, 2, 3, 5, 4, 2, 2, 5, 3, 1, 4, 3]])

ROUNDINGS = 2.0**-22  # of a logarithm below 2, through the exponential that the file has in float32


def outputs_of(case: Case, directory: Path) -> torch.Tensor:
    """Logits, or the rows of a model without a head."""
    model, loading = case.auto.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    assert not loading["unexpected_keys"] and not loading["mismatched_keys"]
    with torch.inference_mode():
        return model.eval()(IDS)[0]


@pytest.mark.parametrize("stored", ["F32", "F16"])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_weights_come_back_bit_for_bit(
    case: Case, stored: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    original, path = write_case(case, tmp_path, stored)
    gguf_checkpoint.convert(path, tmp_path / "model", "float32")
    stored_names = load_file(original / "model.safetensors").items()
    expected = {
        case.published_name(name): values for name, values in stored_names if name not in case.skipped
    }
    found = load_file(tmp_path / "model/model.safetensors")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype == np.float32, name
        bound = ROUNDINGS if name.endswith(case.rounded) else 0
        assert np.abs(found[name] - values).max() <= bound, name
    if not case.published:
        outputs = outputs_of(case, original)
        bound = 1e-5 if case.rounded else 0
        torch.testing.assert_close(outputs_of(case, tmp_path / "model"), outputs, rtol=0, atol=bound)
        assert outputs.std() > 1e-3
    if stored == "F32":
        kind = case.published or case.config.model_type
        compatibility("GGUF files", f"the architecture {case.kind} ({kind})", "read")


# What transformers has and the program has not: it says so by the key of config.json.
BEYOND = {"mpt": "alibi_bias_max", "nemotron_h_moe": "moe_latent_size"}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_program_asks_for_these_tensors(case: Case, program: Path, tmp_path: Path) -> None:
    _, path = write_case(case, tmp_path)
    gguf_checkpoint.convert(path, tmp_path / "model", "float32")
    command = [program, "tensors", tmp_path / "model"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if key := BEYOND.get(case.name):
        assert_refused(result, 4, "config.json", key)
        return
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    asked = {row["name"]: row["shape"] for row in rows if "name" in row}
    found = load_file(tmp_path / "model/model.safetensors")
    assert asked and asked.keys() <= found.keys()
    for name, shape in asked.items():
        assert list(found[name].shape) == shape, name


def test_factors_of_falcon_h1_are_in_its_weights(tmp_path: Path) -> None:
    """The model of the file has factors of 1, and gives what the original gives with its own."""
    original, path = write_case(FACTORED, tmp_path)
    gguf_checkpoint.convert(path, tmp_path / "model", "float32")
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert not any(key.endswith(("_multiplier", "_multipliers")) for key in config)
    outputs = outputs_of(FACTORED, original)
    torch.testing.assert_close(outputs_of(FACTORED, tmp_path / "model"), outputs, rtol=0, atol=1e-5)
    assert outputs.std() > 1e-3


def test_each_architecture_has_a_case() -> None:
    assert {case.kind for case in CASES} == FAMILIES.keys()
    assert len(CASES) >= len(FAMILIES) + sum(map(len, VARIANTS.values()))


@pytest.mark.parametrize("name", ["llama", "qwen3moe"])
def test_quantised_weights_are_those_of_the_gguf_package(name: str, tmp_path: Path) -> None:
    """Of experts, too, which one tensor of the file holds."""
    (case,) = (case for case in CASES if case.name == name)
    kind = gguf.GGMLQuantizationType.Q8_0
    original, path = write_case(case, tmp_path, "Q8_0")
    gguf_checkpoint.convert(path, tmp_path / "model", "float32")
    found = load_file(tmp_path / "model/model.safetensors")
    changed = 0
    for name, values in load_file(original / "model.safetensors").items():
        if is_packed(name, values):
            packed = gguf.dequantize(gguf.quantize(values, kind), kind)
            changed += not np.array_equal(packed, values)
            values = packed
        assert np.array_equal(found[name], values), name
    assert changed > 10


def test_a_tokenizer_that_is_not_known_is_left_out(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    (case,) = (case for case in CASES if case.name == "qwen3")
    _, path = write_case(case, tmp_path, tokenizer={"tokenizer.ggml.pre": "dbrx"})
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    assert result.returncode == 0
    assert "no tokenizer is written: tokenizer.ggml.pre is \"dbrx\"" in result.stderr
    assert not list((tmp_path / "model").glob("tokenizer*"))
    what = "`tokenizer.ggml.pre` that is unknown: without a tokenizer"
    compatibility("GGUF files", what, "warned", result.stderr)


REFUSED: dict[str, tuple[str, dict[str, object], str]] = {
    "heads of a width that the architecture has no key for": (
        "qwen2", {"attention.key_length": 12}, "qwen2.attention.key_length is 12, expected 8"),
    "key and value heads of GPT-2": (
        "gpt2", {"attention.head_count_kv": 2}, "gpt2.attention.head_count_kv is 2, expected 4"),
    "a sliding window in some layers that no list names": (
        "olmo3", {"attention.sliding_window_pattern": [True]}, "expected true or false for each of 2 layers"),
    "a parallel residual that is a number": (
        "stablelm", {"use_parallel_residual": 1}, "use_parallel_residual is 1, expected true or false"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_fields_that_contradict_the_architecture_are_refused(
    what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    name, fields, words = REFUSED[what]
    (case,) = (case for case in CASES if case.name == name)
    _, path = write_case(replace(case, fields=case.fields | fields), tmp_path)
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    assert_refused(result, 4, "m.gguf", words)
    compatibility("GGUF files", what, "refused", result.stderr)


@pytest.mark.parametrize(
    ("changed", "words"),
    [("more", "rope_freqs.weight has other factors"), ("bias", "there is no tensor blk.1.attn_q.bias")],
)
def test_tensors_that_fit_no_model_are_refused(changed: str, words: str, tmp_path: Path) -> None:
    """Frequencies of no scaling, and a bias that one layer lacks."""
    (case,) = (case for case in CASES if case.name == "llama")
    factors = case.extra["rope_freqs.weight"]
    extra = {"rope_freqs.weight": factors * 1.5} if changed == "more" else {}
    left_out = ("model.layers.1.self_attn.q_proj.bias",) if changed == "bias" else ()
    _, path = write_case(replace(case, extra=case.extra | extra, skipped=left_out), tmp_path)
    assert_refused(run("prepare_model.py", "gguf", path, tmp_path / "model"), 4, "m.gguf", words)
