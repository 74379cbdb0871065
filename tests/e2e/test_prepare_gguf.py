"""data/prepare_model.py gguf on files as people have them: each field that changes numbers is honoured,
which the model of transformers that the file was made of shows, or refused by its name."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGUFValueType
from transformers import AutoTokenizer, PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from preparing import DATA, assert_refused, run, run_well
from support.compatibility import Compatibility
from support.gguf_files import TOKENS, Changes, gemma3, llama, tensors_of, write_gguf
from whole_models import load_whole

IDS = torch.tensor([[0, 4, 2, 3, 3, 5, 2, 4, 1, 2, 3, 5, 4]])
ORIGINAL = "llama.rope.scaling.original_context_length"
YARN = {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0, ORIGINAL: 16}


def assert_same_model(directory: Path, expected: PreTrainedModel) -> PreTrainedModel:
    found = load_whole(directory, torch.float32)
    with torch.inference_mode():
        logits = expected(IDS).logits
        torch.testing.assert_close(found(IDS).logits, logits, rtol=0, atol=1e-5)
    assert logits.abs().max() > 0.1
    return found


def scaled(factor: float) -> dict[str, Any]:
    return {"rope_scaling": {"rope_type": "linear", "factor": factor}}


def yarn(**more: float) -> dict[str, Any]:
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    return {"rope_scaling": scaling | more}


def with_rope(begin: str, **values: Any) -> Changes:
    return {f"{begin}.rope.scaling.{key}": value for key, value in values.items()}


READ: list[tuple[str, str, PreTrainedModel, Changes]] = [
    ("llama", "llama", llama(), {}),
    ("gemma3", "gemma3", gemma3(), {}),
    (
        "llama-linear",
        "`rope.scaling.type` linear with its factor (llama)",
        llama(**scaled(4.0)),
        with_rope("llama", type="linear", factor=4.0, original_context_length=16),
    ),
    (
        "llama-yarn",
        "`rope.scaling.type` yarn with its factor and length",
        llama(**yarn()),
        YARN,
    ),
    (
        "llama-yarn-betas",
        "`rope.scaling.yarn_beta_fast`, `yarn_beta_slow`",
        llama(**yarn(beta_fast=2.0, beta_slow=0.5)),
        YARN | with_rope("llama", yarn_beta_fast=2.0, yarn_beta_slow=0.5, yarn_ext_factor=1.0),
    ),
    (
        "gemma3-linear",
        "`rope.scaling.type` linear with its factor (gemma3: of global layers)",
        gemma3(**scaled(8.0)),
        with_rope("gemma3", type="linear", factor=8.0),
    ),
    (
        "no-scaling",
        "`rope.scaling.factor` 1, and the type none",
        llama(),
        with_rope("llama", type="none", factor=1.0, finetuned=False),
    ),
    (
        "gemma3-softcap",
        "`final_logit_softcapping` (gemma3)",
        gemma3(final_logit_softcapping=2.5),
        {"gemma3.final_logit_softcapping": 2.5},
    ),
    (
        "base",
        "`rope.freq_base` as a whole number",
        llama(rope_theta=500000.0),
        {"llama.rope.freq_base": 500000},
    ),
    (
        "defaults",
        "without `rope.freq_base`, `rope.dimension_count`, `attention.key_length` and `vocab_size`",
        llama(),
        {
            "llama.rope.freq_base": None,
            "llama.rope.dimension_count": None,
            "llama.attention.key_length": None,
            "llama.vocab_size": None,
        },
    ),
    (
        "heads",
        "without `attention.head_count_kv`",
        llama(num_key_value_heads=3),
        {"llama.attention.head_count_kv": None},
    ),
    (
        "wide-heads",
        "heads of another width than channels divided among them",
        llama(head_dim=12),
        {"llama.rope.dimension_count": None},
    ),
    (
        "per-layer",
        "one number for each layer, all the same",
        llama(),
        {"llama.attention.head_count_kv": [1, 1], "llama.feed_forward_length": [20, 20]},
    ),
    (
        "neutral",
        "fields of other models with values that change nothing",
        llama(),
        {
            "llama.attention.scale": 8**-0.5,
            "llama.expert_count": 0,
            "llama.logit_scale": 1.0,
            "llama.attention.causal": True,
            "llama.attention.sliding_window": 0,
            "llama.use_parallel_residual": False,
            "llama.tensor_data_layout": "Meta AI original pth",
            "general.file_type": 999,
            "general.quantization_version": 2,
            "split.count": (1, GGUFValueType.UINT16),
        },
    ),
    (
        "pattern",
        "`attention.sliding_window_pattern` as transformers' (gemma3)",
        gemma3(),
        {"gemma3.attention.sliding_window_pattern": [True] * 5 + [False, True]},
    ),
]


@pytest.mark.parametrize(("name", "what", "model", "changes"), READ, ids=[each[0] for each in READ])
def test_field_is_honoured(
    name: str,
    what: str,
    model: PreTrainedModel,
    changes: Changes,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    write_gguf(tmp_path / "m.gguf", model, changes)
    run_well("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert_same_model(tmp_path / "model", model)
    compatibility("GGUF files", what, "read")


@pytest.mark.parametrize("model", [llama(), gemma3()], ids=["llama", "gemma3"])
def test_weights_are_those_of_the_loader_of_transformers(
    model: PreTrainedModel, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "m.gguf", model)
    run_well("prepare_model.py", "gguf", path, tmp_path / "model")
    found = load_whole(tmp_path / "model", torch.float32).state_dict()
    theirs = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    assert set(theirs) >= {name for name, _ in model.named_parameters()} - {"lm_head.weight"}
    for name, values in theirs.items():
        assert torch.equal(found[name], values), name


def test_linear_scaling_changes_numbers(tmp_path: Path) -> None:
    """The models of the test above differ by it."""
    with torch.inference_mode():
        for family in (llama, gemma3):
            assert not torch.allclose(family()(IDS).logits, family(**scaled(8.0))(IDS).logits, atol=1e-3)


REFUSED: list[tuple[str, Changes, list[str]]] = [
    (
        "`rope.scaling.factor` without a type",
        {"llama.rope.scaling.factor": 4.0},
        ["llama.rope.scaling.factor is 4.0", "no type"],
    ),
    ("`rope.scaling.type` yarn without a length", YARN | {ORIGINAL: None}, [ORIGINAL, '"yarn"']),
    (
        "`rope.scaling.yarn_ext_factor` of another mixture",
        YARN | with_rope("llama", yarn_ext_factor=0.5),
        ["yarn_ext_factor is 0.5"],
    ),
    (
        "`rope.scaling.type` that is unknown",
        with_rope("llama", type="su", factor=2.0),
        ["rope.scaling.type", '"su"'],
    ),
    (
        "`rope.scaling.type` none with a factor",
        with_rope("llama", type="none", factor=2.0),
        ["factor is 2.0", '"none"'],
    ),
    (
        "`rope.scaling.factor` that is no number",
        with_rope("llama", type="linear", factor="2"),
        ["rope.scaling.factor", '"2"'],
    ),
    (
        "`rope.scaling.factor` that is no finite number",
        with_rope("llama", type="linear", factor=float("inf")),
        ["rope.scaling.factor", "inf"],
    ),
    ("`rope.scale_linear`", {"llama.rope.scale_linear": 4.0}, ["rope.scale_linear is 4.0"]),
    (
        "`rope.scaling.yarn_attn_factor`",
        {"llama.rope.scaling.yarn_attn_factor": 0.7},
        ["yarn_attn_factor is 0.69"],
    ),
    ("`attention.scale`", {"llama.attention.scale": 0.25}, ["attention.scale is 0.25", "0.35"]),
    ("`logit_scale`", {"llama.logit_scale": 0.0625}, ["logit_scale is 0.0625"]),
    ("`embedding_scale`", {"llama.embedding_scale": 12.0}, ["embedding_scale is 12.0"]),
    ("`residual_scale`", {"llama.residual_scale": 0.22}, ["residual_scale is 0.2"]),
    (
        "`attention.sliding_window` (llama)",
        {"llama.attention.sliding_window": 16},
        ["attention.sliding_window is 16, expected 0"],
    ),
    (
        "`final_logit_softcapping` (llama)",
        {"llama.final_logit_softcapping": 30.0},
        ["final_logit_softcapping is 30.0"],
    ),
    (
        "`attn_logit_softcapping`",
        {"llama.attn_logit_softcapping": 50.0},
        ["attn_logit_softcapping is 50.0"],
    ),
    ("experts", {"llama.expert_count": 8, "llama.expert_used_count": 2}, ["expert_count is 8"]),
    ("`attention.causal` false", {"llama.attention.causal": False}, ["attention.causal is False"]),
    (
        "`rope.dimension_count` of a part of the head",
        {"llama.rope.dimension_count": 4},
        ["attention.key_length is 8, expected 4"],
    ),
    (
        "`attention.value_length` other than the keys'",
        {"llama.attention.value_length": 16},
        ["attention.value_length is 16, expected 8"],
    ),
    (
        "a field of the architecture that is unknown",
        {"llama.attention.temperature_tuning": 3},
        ["llama.attention.temperature_tuning (3) is not known"],
    ),
    (
        "without `attention.layer_norm_rms_epsilon`",
        {"llama.attention.layer_norm_rms_epsilon": None},
        ["there is no field llama.attention.layer_norm_rms_epsilon"],
    ),
    (
        "`attention.layer_norm_rms_epsilon` 0",
        {"llama.attention.layer_norm_rms_epsilon": 0.0},
        ["layer_norm_rms_epsilon is 0.0, expected a positive number"],
    ),
    (
        "`attention.layer_norm_rms_epsilon` that is no number",
        {"llama.attention.layer_norm_rms_epsilon": float("nan")},
        ["layer_norm_rms_epsilon is nan"],
    ),
    ("`block_count` as text", {"llama.block_count": "2"}, ['block_count is "2"', "whole number"]),
    (
        "`block_count` beyond the tensors",
        {"llama.block_count": 2_000_000_000},
        ["block_count is 2000000000", "21 tensors"],
    ),
    ("`head_count` 0", {"llama.attention.head_count": 0}, ["attention.head_count is 0"]),
    (
        "`embedding_length` as a real number",
        {"llama.embedding_length": 24.0},
        ["embedding_length is 24.0", "whole number"],
    ),
    (
        "`context_length` as a truth value",
        {"llama.context_length": True},
        ["context_length is True"],
    ),
    (
        "numbers of key and value heads that differ between layers",
        {"llama.attention.head_count_kv": [1, 3]},
        ["attention.head_count_kv is a list of 2"],
    ),
    (
        "`vocab_size` below the number of tokens",
        {"llama.vocab_size": 5},
        ["llama.vocab_size is 5 for 6 tokens"],
    ),
    ("an adapter", {"general.type": "adapter"}, ['general.type is "adapter"']),
    ("an image projector", {"general.type": "mmproj"}, ['general.type is "mmproj"']),
    (
        "`quantization_version` 1",
        {"general.quantization_version": 1},
        ["general.quantization_version is 1"],
    ),
    (
        "a part of a split file by another name",
        {"split.count": (3, GGUFValueType.UINT16), "split.no": (0, GGUFValueType.UINT16)},
        ["part 1 of 3 (split.count)", "-00001-of-00003.gguf"],
    ),
    ("`split.count` as text", {"split.count": "2"}, ['split.count is "2"']),
    ("another architecture", {"general.architecture": "rwkv7"}, ['architecture "rwkv7"', "llama"]),
    ("without `tokenizer.ggml.pre`", {"tokenizer.ggml.pre": None}, ["no field tokenizer.ggml.pre"]),
    ("without merges", {"tokenizer.ggml.merges": None}, ["no field tokenizer.ggml.merges"]),
    (
        "a merge of what is no token",
        {"tokenizer.ggml.merges": ["a b", "b b"]},
        ["merge ('b', 'b')"],
    ),
    (
        "a merge of one token that is none",
        {"tokenizer.ggml.tokens": [*TOKENS[:5], "aq"], "tokenizer.ggml.merges": ["a q"]},
        ["merge ('a', 'q')"],
    ),
    ("merges that are no texts", {"tokenizer.ggml.merges": [1, 2]}, ["merges is a list", "texts"]),
    (
        "fewer token types than tokens",
        {"tokenizer.ggml.token_type": [3, 3, 1]},
        ["tokenizer.ggml.token_type has 3 entries, expected 6"],
    ),
    (
        "without token types",
        {"tokenizer.ggml.token_type": None},
        ["no field tokenizer.ggml.token_type"],
    ),
    (
        "a token twice",
        {"tokenizer.ggml.tokens": [*TOKENS[:5], "ab"]},
        ["tokenizer.ggml.tokens holds a token twice"],
    ),
    (
        "a BOS beyond the tokens",
        {"tokenizer.ggml.bos_token_id": 6},
        ["tokenizer.ggml.bos_token_id is 6, expected a token below 6"],
    ),
    (
        "`add_bos_token` without a BOS",
        {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": None},
        ["add_bos_token is true", "bos_token_id"],
    ),
    (
        "`add_bos_token` as text",
        {"tokenizer.ggml.add_bos_token": "yes"},
        ['add_bos_token is "yes"', "true or false"],
    ),
    (
        "a chat template that is no text",
        {"tokenizer.chat_template": 7},
        ["tokenizer.chat_template is 7"],
    ),
]


@pytest.mark.parametrize(("what", "changes", "words"), REFUSED, ids=[each[0] for each in REFUSED])
def test_field_is_refused_by_name(
    what: str, changes: Changes, words: list[str], tmp_path: Path, compatibility: Compatibility
) -> None:
    write_gguf(tmp_path / "m.gguf", llama(), changes)
    result = run("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert_refused(result, 4, "m.gguf", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    compatibility("GGUF files", what, "refused", result.stderr)


@pytest.mark.parametrize(
    ("what", "changes", "words"),
    [
        (
            "`attention.sliding_window_pattern` of another period (gemma3)",
            {"gemma3.attention.sliding_window_pattern": 4},
            ["sliding_window_pattern is 4, expected 6"],
        ),
        (
            "`rope.freq_base_swa` (gemma3)",
            {"gemma3.rope.freq_base_swa": 5e4},
            ["freq_base_swa is 50000.0, expected 10000.0"],
        ),
        (
            "without `rope.freq_base` (gemma3: llama.cpp and transformers take different ones)",
            {"gemma3.rope.freq_base": None},
            ["there is no field gemma3.rope.freq_base"],
        ),
    ],
)
def test_field_of_gemma3_is_refused_by_name(
    what: str, changes: Changes, words: list[str], tmp_path: Path, compatibility: Compatibility
) -> None:
    write_gguf(tmp_path / "m.gguf", gemma3(), changes)
    result = run("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert_refused(result, 4, "m.gguf", *words)
    compatibility("GGUF files", what, "refused", result.stderr)


@pytest.mark.parametrize(
    ("what", "changes", "expected"),
    [
        ("`add_bos_token`", {"tokenizer.ggml.add_bos_token": True}, [0, 4, 5]),
        ("`add_eos_token`", {"tokenizer.ggml.add_eos_token": True}, [4, 5, 1]),
        ("without `add_bos_token` (byte-level BPE: no BOS)", {}, [4, 5]),
    ],
)
def test_added_tokens_are_added(
    what: str,
    changes: Changes,
    expected: list[int],
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    write_gguf(tmp_path / "m.gguf", llama(), changes)
    run_well("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model")("ab!!").input_ids == expected
    compatibility("GGUF files", what, "read")


def write_parts(folder: Path, model: PreTrainedModel, count: int = 3) -> list[Path]:
    """As llama.cpp's gguf-split writes them: the fields in the first part alone."""
    tensors = list(tensors_of(model).items())
    paths = []
    for part in range(count):
        path = folder / f"m-{part + 1:05d}-of-{count:05d}.gguf"
        changes = {
            "split.no": (part, GGUFValueType.UINT16),
            "split.count": (count, GGUFValueType.UINT16),
            "split.tensors.count": (len(tensors), GGUFValueType.INT32),
        }
        write_gguf(path, model, changes, dict(tensors[part::count]))
        paths.append(path)
    return paths


def test_parts_beside_each_other_are_one_model(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    first, *_ = write_parts(tmp_path, llama())
    run_well("prepare_model.py", "gguf", first, tmp_path / "model")
    assert_same_model(tmp_path / "model", llama())
    compatibility("GGUF files", "a split file, its parts beside the first", "read")


def test_part_that_is_missing_or_not_the_first_is_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    first, second, third = write_parts(tmp_path, llama())
    result = run("prepare_model.py", "gguf", second, tmp_path / "model")
    assert_refused(result, 4, second.name, "part 2 of 3", f"expected the first, {first.name}")
    compatibility("GGUF files", "a part of a split file other than the first", "refused", result.stderr)
    third.rename(tmp_path / "away.gguf")
    result = run("prepare_model.py", "gguf", first, tmp_path / "model")
    assert_refused(result, 4, first.name, "part 1 of 3", f"there is no {third.name}")
    compatibility("GGUF files", "a split file of which a part is missing", "refused", result.stderr)
    third.write_bytes(second.read_bytes())
    result = run("prepare_model.py", "gguf", first, tmp_path / "model")
    assert_refused(result, 4, third.name, "expected split.no 2 and split.count 3, found 1 and 3")
    assert not (tmp_path / "model").exists()


def test_big_endian_file_is_refused(tmp_path: Path, compatibility: Compatibility) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama(), endianess=gguf.GGUFEndian.BIG)
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    assert_refused(result, 4, "m.gguf", "big-endian")
    compatibility("GGUF files", "big-endian", "refused", result.stderr)


@pytest.mark.parametrize("version", [1, 2, 4])
def test_version_2_is_read_as_3(
    version: int, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama())
    content = bytearray(path.read_bytes())
    assert content[4:8] == struct.pack("<I", 3)
    content[4:8] = struct.pack("<I", version)
    path.write_bytes(content)
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    if version == 2:
        assert result.returncode == 0, result.stderr
        assert_same_model(tmp_path / "model", llama())
        compatibility("GGUF files", "GGUF version 2", "read")
    else:
        assert_refused(result, 4, "m.gguf", f"version {version}")
        compatibility("GGUF files", f"GGUF version {version}", "refused", result.stderr)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("F16", "read"), ("BF16", "read"), ("Q8_0", "read"), ("Q4_0", "read"), ("I8", "refused")],
)
def test_quantised_tensors_are_what_the_gguf_package_makes_of_them(
    kind: str, outcome: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    model = llama(hidden_size=32, num_attention_heads=4)
    tensors = tensors_of(model)
    name = "blk.1.ffn_up.weight"
    path = tmp_path / "m.gguf"
    if kind == "I8":
        write_gguf(path, model, None, tensors | {name: tensors[name].astype(np.int8)})
        result = run("prepare_model.py", "gguf", path, tmp_path / "model")
        assert_refused(result, 4, "m.gguf", f"{name} is stored as I8")
        compatibility("GGUF files", "weights stored as I8", outcome, result.stderr)
        return
    quantisation = gguf.GGMLQuantizationType[kind]
    packed = gguf.quantize(tensors[name], quantisation)
    write_quantised(path, model, tensors, name, packed, quantisation)
    run_well("prepare_model.py", "gguf", path, tmp_path / "model")
    found = load_whole(tmp_path / "model", torch.float32).state_dict()
    expected = gguf.dequantize(packed, quantisation)
    assert np.array_equal(found["model.layers.1.mlp.up_proj.weight"].numpy(), expected)
    np.testing.assert_allclose(expected, tensors[name], rtol=0, atol=0.15)
    compatibility("GGUF files", f"weights stored as {kind}", outcome)


def write_quantised(
    path: Path,
    model: PreTrainedModel,
    tensors: dict[str, np.ndarray],
    name: str,
    packed: np.ndarray,
    quantisation: gguf.GGMLQuantizationType,
) -> None:
    class Writer(gguf.GGUFWriter):
        def add_tensor(self, each: str, values: np.ndarray, **options: Any) -> None:
            is_packed = each == name
            kind = {"raw_dtype": quantisation} if is_packed else {}
            super().add_tensor(each, packed if is_packed else values, **kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf, "GGUFWriter", Writer)
        write_gguf(path, model, None, tensors)


@pytest.mark.parametrize(
    ("content", "words", "what"),
    [
        ("<!DOCTYPE html>\n<html></html>\n", "found: HTML page", "HTML page"),
        ("", "found: empty file", "empty file"),
    ],
)
def test_what_is_no_gguf_file_is_named(
    content: str, words: str, what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = tmp_path / "m.gguf"
    path.write_text(content)
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    assert_refused(result, 4, "m.gguf is no GGUF file", words)
    compatibility("GGUF files", f"{what} called `.gguf`", "refused", result.stderr)


def test_length_beyond_the_file_is_refused_at_once(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    """A list that says it has 2^60 entries."""
    path = write_gguf(tmp_path / "m.gguf", llama(), {"llama.feed_forward_length": [20, 20]})
    content = path.read_bytes()
    key = content.index(b"llama.feed_forward_length") + len(b"llama.feed_forward_length")
    place = key + 8  # behind the types of the field and of its entries
    assert content[place : place + 8] == struct.pack("<Q", 2)
    path.write_bytes(content[:place] + struct.pack("<Q", 1 << 60) + content[place + 8 :])
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    assert_refused(result, 4, "m.gguf is not a whole GGUF file")
    compatibility("GGUF files", "a list that is longer than the file", "refused", result.stderr)


@pytest.mark.parametrize("kib", [0, 4, 20])
def test_full_disk_leaves_no_directory(
    kib: int, tmp_path: Path, compatibility: Compatibility
) -> None:
    """A limit of the size of files stands for the disk; the weights take 24 KiB."""
    path = write_gguf(tmp_path / "m.gguf", llama())
    result = subprocess.run(
        [sys.executable, DATA / "prepare_model.py", "gguf", path, tmp_path / "model"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (kib << 10, kib << 10)),
    )
    assert_refused(result, 6, f"cannot write the output {tmp_path / 'model'}: File too large")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]
    compatibility("Outputs", "prepare_model.py on a full disk", "refused", result.stderr)


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_are_read_or_refused_in_one_line(seed: int, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama())
    generator = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for place in generator.integers(4, 1500, 4):
        content[place] = generator.integers(256)
    path.write_bytes(content)
    result = run("prepare_model.py", "gguf", path, tmp_path / "model")
    if result.returncode != 0:
        assert_refused(result, 4, "m.gguf")
        assert not (tmp_path / "model").exists()
