"""State spaces of Mamba-2 and of Mamba, as the families that have them put them beside attention and MLPs.

Heads in one to four groups, which ranks cut inside and between; a rank of four has none of three
heads. Rates of decay span memories of a few tokens to hundreds; the least time step is larger than
some.
"""

from __future__ import annotations

from typing import Any

from .model import LINEAR_ROPE, RandomModel, sizes

GRANITE = {
    "embedding_multiplier": 3.0, "attention_multiplier": 0.4, "residual_multiplier": 0.6,
    "logits_scaling": 4.0,
}  # fmt: skip
FACTORS = {
    "embedding_multiplier": 3.0, "lm_head_multiplier": 0.5, "attention_in_multiplier": 0.8,
    "key_multiplier": 0.6, "attention_out_multiplier": 0.7, "ssm_in_multiplier": 1.25,
    "ssm_multipliers": [0.7, 0.5, 0.9, 1.2, 0.8], "ssm_out_multiplier": 0.4, "mlp_multipliers": [0.9, 0.6],
}  # fmt: skip
STATES, FULL, DENSE, EXPERTS = "linear_attention", "full_attention", "mlp", "moe"


def nemotron_states(heads: tuple[int, int], widths: tuple[int, int], taps: int = 4) -> dict[str, Any]:
    """Heads and groups; widths of a head and of its states."""
    return {
        "mamba_num_heads": heads[0], "n_groups": heads[1], "mamba_head_dim": widths[0],
        "ssm_state_size": widths[1], "conv_kernel": taps, "time_step_min": 0.4,
    }  # fmt: skip


def nemotron_experts(count: int, chosen: int, width: int, shared: int, **more: Any) -> dict[str, Any]:
    return {
        "n_routed_experts": count, "num_experts_per_tok": chosen, "moe_intermediate_size": width,
        "moe_shared_expert_intermediate_size": shared, **more,
    }  # fmt: skip


def states(heads: tuple[int, int], state_width: int, taps: int = 4, **more: Any) -> dict[str, Any]:
    """Heads and groups; twice as many channels as the model has."""
    return {
        "mamba_n_heads": heads[0], "mamba_n_groups": heads[1], "mamba_d_state": state_width,
        "mamba_d_conv": taps, **more,
    }  # fmt: skip


def mamba_sizes(channels: int, layers: int, vocabulary: int, states: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": channels, "num_hidden_layers": layers, "vocab_size": vocabulary,
        "state_size": states, "bos_token_id": 1, "eos_token_id": 2, **more,
    }  # fmt: skip


STATE_SPACES = (
    RandomModel(
        "nemotron_h-5over1-head16-states6of2-dense",
        "nemotron_h",
        sizes(
            80, 5, (5, 1), 127, 251, head_dim=16, **nemotron_states((6, 2), (12, 20)),
            layers_block_type=[STATES, DENSE, FULL, STATES, DENSE], layer_norm_epsilon=1e-4,
        ),
    ),
    RandomModel(
        "nemotron_h-6over2-head24-states8of4-2of6-groups-biases-pattern",
        "nemotron_h",
        sizes(
            90, 5, (6, 2), 131, 257, head_dim=24, **nemotron_states((8, 4), (10, 16), 3), mlp_bias=True,
            **nemotron_experts(6, 2, 44, 52, n_group=3, topk_group=2, routed_scaling_factor=1.75),
            hybrid_override_pattern="ME*ME", use_bias=True, use_conv_bias=False, mlp_hidden_act="silu",
        ),
    ),
    RandomModel(
        "nemotron_h-3over3-states3of1-3of5-dense-stacked-bfloat16",
        "nemotron_h",
        sizes(
            75, 5, (3, 3), 113, 241, head_dim=16, **nemotron_states((3, 1), (20, 12), 2),
            **nemotron_experts(5, 3, 37, 61, norm_topk_prob=False),
            layers_block_type=[FULL, EXPERTS, STATES, DENSE, STATES], mamba_hidden_act="gelu",
        ),
        dtype="bfloat16",
        is_stacked=True,
    ),
    RandomModel(
        "granitemoehybrid-5over1-states8of1-dense",
        "granitemoehybrid",
        sizes(
            80, 4, (5, 1), 61, 251, **states((8, 1), 20), num_local_experts=0, shared_intermediate_size=127,
            layer_types=[STATES, STATES, FULL, STATES], rms_norm_eps=1e-4, **GRANITE,
            time_step_limit=[0.4, 0.9],
        ),
    ),
    RandomModel(
        "granitemoehybrid-6over2-states6of3-2of6-rope-biases-tied",
        "granitemoehybrid",
        sizes(
            84, 4, (6, 2), 44, 257, **states((6, 3), 16, 3, mamba_proj_bias=True, mamba_conv_bias=False),
            num_local_experts=6, num_experts_per_tok=2, shared_intermediate_size=52, attention_bias=True,
            position_embedding_type="rope", layer_types=["mamba", "attention", "mamba", "mamba"],
            tie_word_embeddings=True, **GRANITE,
        ),
    ),
    RandomModel(
        "granitemoehybrid-3over3-states3of1-3of5-bfloat16",
        "granitemoehybrid",
        sizes(
            72, 3, (3, 3), 37, 241, **states((3, 1), 12, 2, mamba_d_head=48), num_local_experts=5,
            num_experts_per_tok=3, shared_intermediate_size=61, layer_types=[FULL, STATES, STATES],
            hidden_act="gelu_pytorch_tanh", **GRANITE,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "bamba-5over1-states8of2",
        "bamba",
        sizes(
            80, 4, (5, 1), 127, 251, **states((8, 2), 20), attn_layer_indices=[1], rms_norm_eps=1e-4,
            time_step_limit=[0.3, 0.8],
        ),
    ),
    RandomModel(
        "bamba-6over2-states9of3-biases-tied-old",
        "bamba",
        sizes(
            90, 4, (6, 2), 131, 257, head_dim=24, **states((9, 3), 16, 3), mamba_proj_bias=True,
            mamba_conv_bias=False, attn_layer_indices=[0, 2], attention_bias=True, mlp_bias=True,
            tie_word_embeddings=True,
        ),
        is_old=True,
    ),
    RandomModel(
        "bamba-3over3-states3of1-linear-bfloat16",
        "bamba",
        sizes(
            72, 3, (3, 3), 113, 241, **states((3, 1), 12, 2), attn_layer_indices=[2],
            rope_parameters=LINEAR_ROPE, hidden_act="gelu",
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "falcon_h1-5over1-states6of2",
        "falcon_h1",
        sizes(
            80, 3, (5, 1), 127, 251, **states((6, 2), 20), mamba_d_ssm=72, rms_norm_eps=1e-4,
            time_step_limit=[0.3, 0.8], **FACTORS,
        ),
    ),
    RandomModel(
        "falcon_h1-6over2-head24-states8of4-norm-biases-tied-old",
        "falcon_h1",
        sizes(
            90, 3, (6, 2), 131, 257, head_dim=24, **states((8, 4), 16, 3), mamba_d_ssm=96, mamba_d_head=12,
            mamba_rms_norm=True, mamba_norm_before_gate=False, mamba_proj_bias=True, projectors_bias=True,
            attention_bias=True, mlp_bias=True, tie_word_embeddings=True, **FACTORS,
        ),
        is_old=True,
    ),
    RandomModel(
        "falcon_h1-3over3-states3of1-norm-first-expanded-linear-bfloat16",
        "falcon_h1",
        sizes(
            72, 3, (3, 3), 113, 241, **states((3, 1), 12, 2), mamba_d_ssm=None, mamba_rms_norm=True,
            mamba_norm_before_gate=True, mamba_conv_bias=False, projectors_bias=True,
            rope_parameters=LINEAR_ROPE, hidden_act="gelu", **FACTORS,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "mamba-80-states12-untied",
        "mamba",
        mamba_sizes(80, 4, 251, 12, layer_norm_epsilon=1e-4, tie_word_embeddings=False),
    ),
    RandomModel(
        "mamba-90-states20-rank7-biases-tied-sharded",
        "mamba",
        mamba_sizes(90, 3, 257, 20, use_bias=True, use_conv_bias=False, time_step_rank=7, conv_kernel=3),
        shard="100KB",
    ),
    RandomModel(
        "mamba-75-states9-expand3-gelu-bfloat16",
        "mamba",
        mamba_sizes(75, 3, 241, 9, expand=3, hidden_act="gelu", conv_kernel=2),
        dtype="bfloat16",
    ),
    RandomModel(
        "falcon_mamba-80-states12-untied",
        "falcon_mamba",
        mamba_sizes(80, 4, 251, 12, mixer_rms_eps=0.03, tie_word_embeddings=False),
    ),
    RandomModel(
        "falcon_mamba-90-states20-rank7-biases-tied",
        "falcon_mamba",
        mamba_sizes(90, 3, 257, 20, use_bias=True, use_conv_bias=False, time_step_rank=7, conv_kernel=3),
    ),
    RandomModel(
        "falcon_mamba-75-states9-own-width-bfloat16",
        "falcon_mamba",
        mamba_sizes(75, 3, 241, 9, expand=16, intermediate_size=225, conv_kernel=2),
        dtype="bfloat16",
    ),
    RandomModel(
        "jamba-5over1-states12-2of6",
        "jamba",
        sizes(
            80, 4, (5, 1), 44, 251, mamba_d_state=12, num_experts=6, num_experts_per_tok=2,
            attn_layer_period=3, attn_layer_offset=1, rms_norm_eps=0.003,
        ),
    ),
    RandomModel(
        "jamba-6over2-states20-rank7-biases-dense-tied",
        "jamba",
        sizes(
            90, 4, (6, 2), 131, 257, mamba_d_state=20, num_experts=1, attn_layer_period=2,
            attn_layer_offset=0, mamba_proj_bias=True, mamba_conv_bias=False, mamba_dt_rank=7,
            mamba_d_conv=3, tie_word_embeddings=True,
        ),
    ),
    RandomModel(
        "jamba-3over3-states9-expand3-3of5-stacked-bfloat16",
        "jamba",
        sizes(
            75, 3, (3, 3), 37, 241, mamba_d_state=9, num_experts=5, num_experts_per_tok=3,
            expert_layer_period=3, expert_layer_offset=1, attn_layer_period=3, attn_layer_offset=2,
            mamba_expand=3, mamba_d_conv=2,
        ),
        dtype="bfloat16",
        is_stacked=True,
    ),
)  # fmt: skip
