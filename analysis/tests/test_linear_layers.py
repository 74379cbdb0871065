"""The names of linear layers are those of Hugging Face's models and of llama.cpp."""

from __future__ import annotations

import warnings
from functools import cache

import gguf
import pytest

from actsweep.linear_layers import FAMILIES, INPUT_SITES


@cache
def modules_of(family: str) -> dict[str, tuple[int, ...]]:
    """Module name -> shape of its weight, of a model of this type with two blocks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and transformers while they are imported
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.for_model(family)
        config.num_hidden_layers = 2
        if hasattr(config, "layer_types") and config.layer_types:
            config.layer_types = config.layer_types[:2]
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    modules = model.named_modules()
    return {name: tuple(m.weight.shape) for name, m in modules if hasattr(m, "weight")}


@pytest.mark.parametrize("family", FAMILIES)
def test_modules_are_those_of_transformers(family: str) -> None:
    row, modules = FAMILIES[family], modules_of(family)
    for site in INPUT_SITES:
        named = [row.block.format(1) + module for module in getattr(row, site)]
        assert set(named) <= set(modules)
    hidden = modules[row.block.format(1) + row.attention_input[0]]
    dense = [modules[row.block.format(1) + module] for module in row.mlp_input]
    # The projections of attention and MLP read the same width; Conv1D has it first.
    assert all(set(shape) & set(hidden) for shape in dense)


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].gguf])
def test_every_module_has_a_name_in_llama_cpp(family: str) -> None:
    row = FAMILIES[family]
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(architectures[row.gguf], 2)
    stems = {
        "attention_input": ("attn_q", "attn_k", "attn_v", "attn_qkv"),
        "attention_heads": ("attn_output",),
        "mlp_input": ("ffn_gate", "ffn_up"),
        "mlp_hidden": ("ffn_down",),
    }
    for site in INPUT_SITES:
        for module in getattr(row, site):
            name = table.get_name(row.block.format(1) + module)
            assert name in {f"blk.1.{stem}" for stem in stems[site]}
