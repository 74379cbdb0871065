"""Quantised checkpoints that do not fit their config are refused: exit code 4, one line that names the
method or the key.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from support.compatibility import Compatibility
from support.quantised import FORMS, Tensors, save_both
from support.sweeps import environment, to_toml
from support.token_files import random_corpus, write_token_file


@dataclass(frozen=True)
class Damage:
    """What is done to a packed checkpoint, and words of the refusal."""

    name: str
    form: str
    damage: Callable[[Tensors, dict[str, Any]], None]
    words: tuple[str, ...]
    what: str  # the input, for docs/compatibility.md


KEYS = "model.layers.1.self_attn.k_proj."


def without(words: str, name: str = KEYS) -> Callable[[Tensors, dict[str, Any]], None]:
    def change(tensors: Tensors, _: dict[str, Any]) -> None:
        del tensors[name + words]

    return change


def with_tensor(words: str, tensor: torch.Tensor) -> Callable[[Tensors, dict[str, Any]], None]:
    return lambda tensors, _: tensors.update({KEYS + words: tensor})


def with_section(**keys: object) -> Callable[[Tensors, dict[str, Any]], None]:
    return lambda _, config: config["quantization_config"].update(keys)


def with_group(**keys: object) -> Callable[[Tensors, dict[str, Any]], None]:
    def change(_: Tensors, config: dict[str, Any]) -> None:
        config["quantization_config"]["config_groups"]["group_0"]["weights"].update(keys)

    return change


def without_section(_: Tensors, config: dict[str, Any]) -> None:
    del config["quantization_config"]


DAMAGES = (
    Damage(
        "missing", "fp8-blocks-128", without("weight_scale_inv"),
        (f"tensor {KEYS}weight_scale_inv: missing; fp8 needs it with shape [1, 2]",),
        "a quantised weight without its scale",
    ),
    Damage(
        "shape", "fp8-blocks-128", with_tensor("weight_scale_inv", torch.ones(2, 1)),
        (f"tensor {KEYS}weight_scale_inv: fp8: expected shape [1, 2], found [2, 1]",),
        "a scale of another shape",
    ),
    Damage(
        "type", "fp8-blocks-128", with_tensor("weight_scale_inv", torch.ones(1, 2).int()),
        (f"tensor {KEYS}weight_scale_inv: fp8: expected F32 or", "found I32"),
        "a scale of another type",
    ),
    Damage(
        "unused", "fp8-blocks-128", with_tensor("weight", torch.ones(48, 144)),
        (f"tensor {KEYS}weight_scale_inv: not used",),
        "a scale beside a weight that is not quantised",
    ),
    Damage(
        "left-out", "fp8-blocks-128", with_section(modules_to_not_convert=["k_proj"]),
        ("module model.layers.0.self_attn.k_proj: left out of fp8", "of type F8_E4M3"),
        "a packed weight in a module that is left out",
    ),
    Damage(
        "silent", "fp8-blocks-128", without_section,
        ('dtype: expected F64, F32, BF16 or F16, found "F8_E4M3"',),
        "weights in FP8 of which config.json says nothing",
    ),
    Damage(
        "codes", "mxfp4-5over1-2of5", without("experts.down_proj_scales", "model.layers.1.mlp."),
        ("experts.down_proj_scales: missing; mxfp4 needs it with shape [5, 96, 2]",),
        "MXFP4 blocks without scales",
    ),
    Damage(
        "scheme", "pack-quantized-4-groups", with_group(group_size=64),
        ("weight_scale: compressed-tensors: expected shape [", "found ["),
        "scales that do not fit the group size of config.json",
    ),
    Damage(
        "zeros", "gptq-4-groups", without("qzeros"),
        (f"{KEYS}qzeros: missing; gptq needs it with shape [5, 4]",),
        "GPTQ without zeros",
    ),
    Damage(
        "bits", "gptq-4-groups", with_section(bits=5),
        ('"quantization_config.bits": expected 2, 3, 4 or 8, found 5',),
        "GPTQ of another number of bits",
    ),
    Damage(
        "version", "awq", with_section(version="gemv"),
        ('"quantization_config.version": expected one of "gemm"', 'found "gemv"'),
        "AWQ of another version",
    ),
    Damage(
        "algorithm", "modelopt-nvfp4", with_section(quant_algo="W4A8_AWQ"),
        ('"quantization_config.quant_algo": expected one of "FP8"', 'found "W4A8_AWQ"'),
        "an algorithm of ModelOpt that is not known",
    ),
    Damage(
        "matrix", "modelopt-nvfp4", without("weight_scale_2"),
        (f"{KEYS}weight_scale_2: missing; modelopt needs it with shape [] or [1]",),
        "NVFP4 without the scale of the matrix",
    ),
    Damage(
        "state", "bitsandbytes-nf4", without("weight.quant_state.bitsandbytes__nf4"),
        (f"{KEYS}weight.quant_state.bitsandbytes__nf4: missing; bitsandbytes needs it",),
        "4 bits of bitsandbytes without their state",
    ),
    Damage(
        "block", "fp8-blocks-128", with_section(weight_block_size=[128]),
        ('"quantization_config.weight_block_size": expected 2 positive numbers, found [128]',),
        "`weight_block_size` that is none",
    ),
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_damaged_quantised_checkpoint_is_refused(
    damage: Damage, program: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    form = next(form for form in FORMS if form.name == damage.form)
    directory = save_both(form, tmp_path).packed
    tensors = load_file(directory / "model.safetensors")
    config = json.loads((directory / "config.json").read_text())
    damage.damage(tensors, config)
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config))
    message = refuse_model(program, directory, tmp_path)
    assert all(word in message for word in damage.words), message
    compatibility("Checkpoints", damage.what, "refused", message)


def refuse_model(program: Path, directory: Path, folder: Path) -> str:
    """The one line that `plan` refuses a checkpoint with, exit code 4."""
    corpus = write_token_file(folder / "corpus.h5", random_corpus(251, [20]), {})
    keys = {
        "model": {"path": str(directory)},
        "corpus": {"path": str(corpus), "sequence_length": 20},
        "output": {"path": str(folder / "sweep.h5")},
    }
    job = folder / "job.toml"
    job.write_text(to_toml(keys))
    result = subprocess.run(
        [program, "plan", job, "--ranks", "1"], capture_output=True, text=True, check=False, env=environment()
    )
    assert result.returncode == 4, result.stderr
    (line,) = result.stderr.strip().splitlines()
    return line
