"""Runs transformers in float64 throughout: a reference whose own error does not count.

Models compute norms, softmax and rotary tables in float32, whatever their dtype. Within InDouble
what asks for float32 gets float64; rotary frequencies, which are made with the model, are made anew.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers.models.codegen.modeling_codegen import CodeGenAttention
from transformers.models.gptj.modeling_gptj import GPTJAttention, create_sinusoidal_positions
from transformers.models.hunyuan_v1_moe.modeling_hunyuan_v1_moe import HunYuanMoEV1Gate
from transformers.models.dinov3_vit import modeling_dinov3_vit as dinov3


def widened(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


class InDouble(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        named = {key: widened(value) for key, value in (kwargs or {}).items()}
        return func(*map(widened, args), **named)


def in_precision_of(dtype: torch.dtype) -> AbstractContextManager:
    """In which a model of this dtype is to run."""
    return InDouble() if dtype == torch.float64 else nullcontext()


def prepare_for_double(module: nn.Module) -> None:
    """A model that was loaded in float64."""
    # Its cache would hold what a module in float32 has asked for.
    dinov3.get_patches_center_coordinates = inspect.unwrap(dinov3.get_patches_center_coordinates)
    for part in module.modules():  # GPT-2's switch takes float32 for granted
        if getattr(part, "reorder_and_upcast_attn", False):
            part.reorder_and_upcast_attn = False
        if isinstance(part, HunYuanMoEV1Gate):  # which stays float32 in a model of any dtype
            part.double()
        if isinstance(part, (GPTJAttention, CodeGenAttention)):  # their tables of sines and cosines
            with InDouble():
                part.embed_positions = create_sinusoidal_positions(part.max_positions, part.pos_embd_dim)
            assert part.embed_positions.dtype == torch.float64
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if any(key.endswith("inv_freq") for key, _ in child.named_buffers(recurse=False)):
                with InDouble():
                    renewed = type(child)(child.config).train(child.training)
                assert all(buffer.dtype == torch.float64 for buffer in renewed.buffers())
                setattr(parent, name, renewed)


def kept(hidden: torch.Tensor) -> torch.Tensor:
    """A copy in float32, of float64 in float64: numpy has nothing narrower."""
    return (hidden if hidden.dtype == torch.float64 else hidden.float()).clone()
