"""The names of linear layers are those of Hugging Face's models and of llama.cpp."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import gguf
import pytest
from safetensors import safe_open

from actsweep.export import EXPERT_TENSORS
from actsweep.linear_layers import EXPERT_PARTS, FAMILIES, INPUT_SITES


@cache
def modules_of(family: str) -> dict[str, tuple[int, ...]]:
    """Module name -> shape of its weight, of a model of this type with two blocks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and transformers while they are imported
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.for_model(family)
        config.num_hidden_layers = 2
        if hasattr(config, "mlp_only_layers"):
            config.mlp_only_layers = [0, 1]
        if hasattr(config, "layer_types") and config.layer_types:
            config.layer_types = config.layer_types[:2]
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    modules = model.named_modules()
    return {name: tuple(m.weight.shape) for name, m in modules if hasattr(m, "weight")}


ROUTED = [name for name in FAMILIES if FAMILIES[name].experts]
SMALL = {
    "vocab_size": 32, "hidden_size": 16, "intermediate_size": 8, "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "num_experts": 4, "num_local_experts": 4,
    "layer_types": None, "pad_token_id": None,
}  # fmt: skip


@pytest.mark.parametrize("family", ROUTED)
def test_modules_of_experts_are_those_of_the_checkpoint(family: str, tmp_path: Path) -> None:
    """transformers joins the experts of a layer in memory, so their names are read from its file."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **SMALL)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        names = {name.removesuffix(".weight") for name in file.keys()}  # noqa: SIM118
    row = FAMILIES[family]
    for part in EXPERT_PARTS:
        of_experts = [
            name.format(expert) for name in getattr(row.experts, part) for expert in (0, 3)
        ]
        assert {row.block.format(0) + name for name in of_experts} <= names
    for site in INPUT_SITES:
        assert {row.block.format(0) + name for name in row.reading(site, routed=True)} <= names


@pytest.mark.parametrize("family", FAMILIES)
def test_modules_are_those_of_transformers(family: str) -> None:
    row, modules = FAMILIES[family], modules_of(family)
    for site in INPUT_SITES:
        named = [row.block.format(1) + module for module in row.reading(site, routed=False)]
        assert set(named) <= set(modules)
    hidden = modules[row.block.format(1) + row.attention_input[0]]
    dense = [modules[row.block.format(1) + module] for module in row.mlp_input]
    # The projections of attention and MLP read the same width; Conv1D has it first.
    assert all(set(shape) & set(hidden) for shape in dense)


STEMS = {
    "attention_input": ("attn_q", "attn_k", "attn_v", "attn_qkv"),
    "attention_heads": ("attn_output",),
    "mlp_input": ("ffn_gate", "ffn_up"),
    "mlp_hidden": ("ffn_down",),
}
# llama.cpp's models with routed experts have them in every block.
ROUTED_STEMS = STEMS | {
    "mlp_input": ("ffn_gate_inp", "ffn_gate_inp_shexp", "ffn_gate_shexp", "ffn_up_shexp"),
    "mlp_hidden": ("ffn_down_shexp",),
}


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].gguf])
def test_every_module_has_a_name_in_llama_cpp(family: str) -> None:
    row = FAMILIES[family]
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(architectures[row.gguf], 2)
    routed = row.experts is not None
    for site in INPUT_SITES:
        expected = {f"blk.1.{stem}" for stem in (ROUTED_STEMS if routed else STEMS)[site]}
        for module in row.reading(site, routed):
            assert table.get_name(row.block.format(1) + module) in expected


@pytest.mark.parametrize("family", [name for name in ROUTED if name != "gpt_oss"])
def test_experts_are_those_of_llama_cpp(family: str) -> None:
    """Its converter merges the checkpoint's tensors "experts.E.NAME" into "experts.NAME".

    The one of gpt-oss splits a tensor that holds the gate and up projections of all experts.
    """
    row = FAMILIES[family]
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(architectures[row.gguf], 2)
    for part, stems in EXPERT_TENSORS.items():
        expected = {gguf.TENSOR_NAMES[gguf.MODEL_TENSOR[stem]].format(bid=1) for stem in stems}
        for module in getattr(row.experts, part):
            assert table.get_name(row.block.format(1) + module.replace(".{}", "")) in expected
