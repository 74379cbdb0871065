"""Random models of the architectures of GGUF with state spaces: cases of `gguf_architectures`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import transformers

from support.gguf_cases import (
    EXPERTS,
    F,
    G,
    GROUPED,
    H,
    LAYERS,
    WIDER,
    C,
    Case,
    Rule,
    Stored,
    all_fields,
    head_fields,
)
from support.gguf_expert_cases import COUNTED, GRANITE, GRANITE_FIELDS, LOCAL, granite, shifted

T = transformers
INNER, STATES, TAPS, STATE_HEADS = 2 * C, 8, 4, 4


def ssm(**more: Any) -> dict[str, Any]:
    fields = {"conv_kernel": TAPS, "inner_size": INNER, "state_size": STATES}
    return {f"ssm.{name}": value for name, value in (fields | more).items()}


def selective(name: str, values: np.ndarray) -> Stored:
    """A in place of its logarithm, a convolution's taps without the axis of 1."""
    return {name: -np.exp(values)} if name.endswith("A_log") else values


def grouped(groups: int, otherwise: Rule) -> Rule:
    """Mamba-2's: A and D as columns, a norm's row for each group, the shift of time steps as a bias."""

    def rule(name: str, values: np.ndarray) -> Stored:
        if name.endswith("A_log"):
            return {name: -np.exp(values)[:, None]}
        if name.endswith(".D"):
            return {name: values[:, None]}
        if name.endswith("dt_bias"):
            return {name.replace("dt_bias", "dt_proj.bias"): values}
        if re.search(r"(mamba|mixer)\.norm\.weight", name):
            return {name: values.reshape(groups, -1)}
        return otherwise(name, values)

    return rule


def dense_granite(name: str, values: np.ndarray) -> Stored:
    """Without routed experts the shared one is called a plain MLP."""
    if "output_linear" in name:
        return {name.replace("shared_mlp.output_linear", "mlp.down_proj"): values}
    stored = granite(name, values)
    if not isinstance(stored, dict):
        return stored
    return {part.replace("mlp.shared_experts", "mlp"): array for part, array in stored.items()}


def as_stored(name: str, values: np.ndarray) -> Stored:
    return values


ROUNDED = ("A_log",)
KEY_HEADS = [0, G]
MAMBA2 = {"mamba_n_heads": STATE_HEADS, "mamba_d_head": INNER // STATE_HEADS, "mamba_d_state": STATES}
GROUPED_FIELDS = ssm(time_step_rank=STATE_HEADS, group_count=1) | {
    "attention.head_count_kv": KEY_HEADS, "context_length": 2**20,
}  # fmt: skip
MAMBA_FIELDS = {
    "block_count": LAYERS, "context_length": 2**20, "embedding_length": C, "feed_forward_length": 0,
    "attention.head_count": 0, "attention.layer_norm_rms_epsilon": 1e-5,
}  # fmt: skip
ONE_KIND = {
    "vocab_size": 6, "hidden_size": C, "num_hidden_layers": LAYERS, "state_size": STATES, "bos_token_id": 0,
    "eos_token_id": 1, "pad_token_id": None, "conv_kernel": TAPS,
}  # fmt: skip
NEMOTRON = {
    **{name: value for name, value in WIDER.items() if name != "num_hidden_layers"},
    "mamba_num_heads": STATE_HEADS, "mamba_head_dim": INNER // STATE_HEADS, "n_groups": 2,
    "ssm_state_size": STATES, "layer_norm_epsilon": 1e-6, "use_mamba_kernels": False,
}  # fmt: skip
NEMOTRON_FIELDS = ssm(time_step_rank=STATE_HEADS, group_count=2) | {
    "block_count": 3, "attention.head_count_kv": [0, G, 0], "attention.key_length": 12,
    "attention.value_length": 12, "rope.dimension_count": C // H, "rope.scaling.finetuned": False,
}  # fmt: skip



def falcon_h1(name: str, groups: int, rule: Rule, **more: Any) -> Case:
    """Of heads that have other channels than a multiple of the model's."""
    inner = 40
    sizes = {"mamba_d_ssm": inner, "mamba_n_heads": STATE_HEADS, "mamba_n_groups": groups}
    config = T.FalconH1Config(
        **WIDER, **sizes, mamba_d_state=STATES, rms_norm_eps=1e-6, mamba_norm_before_gate=False, **more
    )
    fields = ssm(inner_size=inner, time_step_rank=STATE_HEADS, group_count=groups) | head_fields(12)
    return Case(
        name, config, all_fields(**fields, vocab_size=6), grouped(groups, rule), "falcon-h1", rounded=ROUNDED
    )


# Powers of two: weights times them are exact.
FACTORS = {
    "embedding_multiplier": 2.0, "lm_head_multiplier": 0.5, "attention_in_multiplier": 0.5,
    "attention_out_multiplier": 4.0, "key_multiplier": 2.0, "ssm_in_multiplier": 4.0,
    "ssm_out_multiplier": 0.5, "mlp_multipliers": [2.0, 0.25], "ssm_multipliers": [0.5, 2.0, 4.0, 0.25, 0.5],
}  # fmt: skip
FACTORS_OF_WEIGHTS = {
    "embed_tokens": 2.0, "lm_head": 0.5, "q_proj": 0.5, "k_proj": 2.0 * 0.5, "v_proj": 0.5, "o_proj": 4.0,
    "gate_proj": 2.0, "down_proj": 0.25, "out_proj": 0.5,
}  # fmt: skip


def with_factors(name: str, values: np.ndarray) -> Stored:
    """As llama.cpp's converter multiplies Falcon-H1's weights, of 40 channels and one group."""
    module = name.split(".")[-2]
    if module == "in_proj":
        parts = np.split(values * np.float32(4.0), [40, 80, 80 + STATES, 80 + 2 * STATES])
        scaled = (part * np.float32(x) for part, x in zip(parts, FACTORS["ssm_multipliers"], strict=True))
        return np.concatenate(list(scaled))
    return values * np.float32(FACTORS_OF_WEIGHTS.get(module, 1.0))


FACTORED = falcon_h1("falcon-h1-factors", 1, with_factors, **FACTORS)
STATE_CASES = (
    falcon_h1("falcon-h1", 1, as_stored),
    falcon_h1("falcon-h1-norm", 2, as_stored, mamba_rms_norm=True),
    Case("mamba", T.MambaConfig(**ONE_KIND), MAMBA_FIELDS | ssm(time_step_rank=2), selective,
         rounded=ROUNDED, skipped=("lm_head.weight",)),
    Case("falcon-mamba", T.FalconMambaConfig(**ONE_KIND),
         MAMBA_FIELDS | ssm(time_step_rank=2, dt_b_c_rms=True), selective, "mamba", rounded=ROUNDED,
         skipped=("lm_head.weight",)),
    Case(
        "jamba",
        T.JambaConfig(**GROUPED, num_experts=EXPERTS, num_experts_per_tok=2, attn_layer_period=2,
                      attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=1, rms_norm_eps=1e-6,
                      mamba_d_state=STATES, use_mamba_kernels=False),
        all_fields(**COUNTED, **ssm(time_step_rank=2),
                   **{"attention.head_count_kv": KEY_HEADS, "rope.freq_base": None}),
        selective, rounded=ROUNDED,
    ),
    Case(
        "granitehybrid",
        T.GraniteMoeHybridConfig(**GROUPED | LOCAL | GRANITE | MAMBA2, shared_intermediate_size=40,
                                 layer_types=["mamba", "attention"], position_embedding_type="nope"),
        all_fields(**GRANITE_FIELDS | GROUPED_FIELDS, **{
            "expert_shared_feed_forward_length": 40, "rope.scaling.finetuned": False}),
        grouped(1, granite), rounded=ROUNDED,
    ),
    Case(
        "granitehybrid-dense",
        T.GraniteMoeHybridConfig(**GROUPED | GRANITE | MAMBA2, num_local_experts=0, num_experts_per_tok=0,
                                 shared_intermediate_size=40, layer_types=["mamba", "attention"],
                                 position_embedding_type="nope"),
        all_fields(**GRANITE_FIELDS | GROUPED_FIELDS | {"expert_count": 0, "expert_used_count": 0}, **{
            "expert_shared_feed_forward_length": 40, "rope.scaling.finetuned": False}),
        grouped(1, dense_granite), "granitehybrid", rounded=ROUNDED,
    ),
    Case(
        "bamba",
        T.BambaConfig(**GROUPED | MAMBA2, attn_layer_indices=[1], rms_norm_eps=1e-6,
                      rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                       "partial_rotary_factor": 0.5}),
        all_fields(**GROUPED_FIELDS | {"context_length": 64}, **{
            "rope.scaling.finetuned": True, "rope.dimension_count": 4, "vocab_size": 6}),
        grouped(1, granite), "granitehybrid", rounded=ROUNDED,
    ),
    Case(
        "nemotron_h",
        T.NemotronHConfig(**NEMOTRON, layers_block_type=["mamba", "attention", "mlp"]),
        all_fields(**NEMOTRON_FIELDS, **{"feed_forward_length": [0, 0, F]}),
        grouped(2, as_stored), rounded=ROUNDED,
    ),
    Case(
        "nemotron_h_moe",
        T.NemotronHConfig(**NEMOTRON, layers_block_type=["mamba", "attention", "moe"], n_routed_experts=4,
                          num_experts_per_tok=2, moe_intermediate_size=24, moe_latent_size=20,
                          moe_shared_expert_intermediate_size=40, routed_scaling_factor=2.5),
        all_fields(**NEMOTRON_FIELDS, **{
            "feed_forward_length": [0, 0, 24], "expert_count": 4, "expert_used_count": 2,
            "expert_feed_forward_length": 24, "expert_shared_feed_forward_length": 40,
            "expert_shared_count": 1, "expert_weights_norm": True, "expert_weights_scale": 2.5,
            "expert_group_count": 1, "moe_latent_size": 20}),
        grouped(2, shifted), rounded=ROUNDED,
    ),
)  # fmt: skip
