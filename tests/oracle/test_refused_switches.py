"""A switch of config.json that the program does not have is refused by name, never ignored.

transformers itself ignores some of them, or fails: those are here too, because a checkpoint that
sets them means another model than the one that would be swept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import vision_models
from support.family_cases import AnyModel
from support.family_sweeps import run_jobs
from support.image_files import random_images, write_image_file
from support.random_models import ENCODERS, MODELS, make_random, save
from support.sweeps import to_toml
from support.token_files import random_corpus, write_token_file
from support.vision_models import VisionModel


@dataclass(frozen=True)
class Switch:
    """A key of config.json (dots lead into objects), and a value of it that is refused."""

    family: str
    key: str
    value: Any
    model: str = ""  # a part of the configuration's name; else the family's first

    @property
    def name(self) -> str:
        is_scalar = isinstance(self.value, (str, int, float))
        return f"{self.family}-{self.key}" + (f"-{self.value}" if is_scalar else "")

    def random_model(self) -> AnyModel:
        models = (*MODELS, *ENCODERS, *vision_models.MODELS, *vision_models.TOWERS)
        return next(m for m in models if m.family == self.family and self.model in m.name)


ACTIVATIONS = {
    "activation_function": ("gpt2", "opt", "gpt_bigcode", "gpt_neo", "gptj", "codegen"),
    "activation": ("falcon",),
    "hidden_activation": ("gemma2", "gemma3_text", "gemma4_text", "gemma4_unified_text", "modernbert"),
    "hidden_act": (
        "gpt_neox", "phi", "phi3", "llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen2_moe",
        "qwen3_moe", "gemma", "olmo2", "cohere", "stablelm", "starcoder2",
        "glm4_moe", "dots1", "minimax_m2", "ernie4_5_moe", "llama4_text",
        "deepseek_v2", "deepseek_v3", "glm4_moe_lite",
        "olmo3", "smollm3", "seed_oss", "cohere2", "ministral3", "exaone4", "glm", "glm4", "ernie4_5",
        "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text",
        "clip_vision_model", "vit", "vit_mae", "dinov2", "dinov2_with_registers",
        "siglip_vision_model", "bert", "roberta", "xlm-roberta", "eurobert",
        "granite", "nemotron", "arcee", "olmo", "olmoe", "apertus", "granitemoe",
        "granitemoeshared", "hunyuan_v1_dense", "hunyuan_v1_moe", "helium", "biogpt", "phimoe",
        "vit_msn", "deit", "ijepa", "dinov3_vit", "aimv2_vision_model",
    ),
    "vision_config.hidden_act": ("clip", "siglip", "aimv2"),
}  # fmt: skip
ROTARY = (
    "gpt_neox", "falcon", "phi", "phi3", "llama", "mistral", "qwen2", "qwen3", "mixtral",
    "qwen2_moe", "qwen3_moe", "gemma", "gemma2", "olmo2", "cohere", "stablelm", "starcoder2",
    "gpt_oss", "glm4_moe", "dots1", "minimax_m2", "ernie4_5_moe", "deepseek_v2", "deepseek_v3",
    "glm4_moe_lite",
    "smollm3", "seed_oss", "cohere2", "ministral3", "exaone4", "glm", "glm4", "ernie4_5",
    "granite", "nemotron", "arcee", "olmo", "olmoe", "apertus", "granitemoe", "granitemoeshared",
    "hunyuan_v1_dense", "hunyuan_v1_moe", "helium", "phimoe", "dbrx",
    "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "llama4_text", "lfm2", "granitemoehybrid", "bamba",
    "falcon_h1",
)  # fmt: skip
SWITCHES = [
    *(Switch(f, key, "mish") for key, families in ACTIVATIONS.items() for f in families),
    *(Switch(f, "rope_parameters.rope_type", "proportional") for f in ROTARY),
    Switch("olmo3", "rope_parameters.full_attention.rope_type", "proportional"),
    *(
        Switch(family, "quantization_config.quant_method", "hqq")
        for family in ("gpt_oss", "llama", "gpt2", "vit", "clip")
    ),
    *(
        Switch(family, "layer_types", ["chunked_attention"] * 4, "window")
        for family in (
            "qwen2", "qwen3", "gemma2", "gemma3_text", "olmo3", "smollm3", "cohere2", "exaone4",
        )
    ),
    *(
        Switch(family, key, value)
        for family in ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text")
        for key, value in (
            ("layer_types", ["sliding_attention"] * 4), ("linear_num_value_heads", 7),
            ("linear_key_head_dim", 0),
        )
    ),
    *(
        Switch("lfm2", key, value)
        for key, value in (
            ("layer_types", ["sliding_attention"] * 4),
            ("conv_L_cache", 0), ("block_auto_adjust_ff_dim", None),
        )
    ),
    Switch("lfm2", "block_ffn_dim_multiplier", -1.0, "adjusted"),
    *(
        Switch("nemotron_h", key, value)
        for key, value in (
            ("layers_block_type", ["conv"] * 5), ("n_groups", 4), ("mamba_head_dim", 0),
            ("num_hidden_layers", 6), ("mamba_hidden_act", "mish"), ("mlp_hidden_act", "mish"),
            ("attention_bias", True), ("sliding_window", 32), ("tie_word_embeddings", True),
        )
    ),
    *(
        Switch(family, key, value)
        for family in ("granitemoehybrid", "bamba")
        for key, value in (
            ("mamba_n_groups", 3), ("mamba_d_head", 7), ("mamba_expand", 3), ("time_step_limit", None),
            ("time_step_limit", [0.5, 0.1]), ("mamba_d_conv", 0), ("hidden_act", "mish"),
        )
    ),
    *(
        Switch("falcon_h1", key, value)
        for key, value in (
            ("mamba_n_groups", 4), ("mamba_d_head", 7), ("mamba_d_ssm", 73), ("mamba_d_ssm", 0),
            ("mamba_d_conv", 0), ("time_step_limit", None), ("hidden_act", "mish"),
            ("layer_types", ["hybrid"] * 3), ("layers_block_type", ["hybrid"] * 3),
            ("mlp_multipliers", [0.5]), ("ssm_multipliers", [0.5] * 4), ("key_multiplier", None),
            ("embedding_multiplier", 1001.0), ("ssm_multipliers", [0.5, 0.5, -1001.0, 0.5, 0.5]),
        )
    ),
    Switch("granitemoehybrid", "layer_types", ["conv"] * 4),
    Switch("granitemoehybrid", "shared_intermediate_size", 0),
    Switch("bamba", "layer_types", ["linear_attention"] * 4),
    *(
        Switch(family, key, value)
        for family in ("mamba", "falcon_mamba")
        for key, value in (
            ("time_step_rank", 0), ("time_step_rank", "x"), ("state_size", 0), ("hidden_act", "mish"),
        )
    ),
    *(
        Switch("jamba", key, value)
        for key, value in (
            ("attn_layer_offset", 3), ("expert_layer_period", 0), ("num_experts_per_tok", 7),
            ("mamba_dt_rank", 0), ("hidden_act", "mish"),
        )
    ),
    Switch("nemotron_h", "moe_latent_size", 32, "groups"),
    *(Switch(f, "use_bidirectional_attention", True) for f in ("gemma", "gemma2", "gemma3_text")),
    *(Switch(family, "add_cross_attention", True) for family in ("gpt2", "gpt_bigcode", "bert")),
    Switch("bert", "is_decoder", True),
    Switch("roberta", "pad_token_id", 300),
    Switch("modernbert", "layer_types", ["attention"] * 4),
    *(
        Switch("glm4_moe", key, value)
        for key, value in (
            ("n_group", 4), ("topk_group", 2), ("num_experts_per_tok", 7), ("n_shared_experts", 0),
            ("scoring_func", "softmax"), ("topk_method", "greedy"), ("moe_layer_freq", 2),
        )
    ),
    *(
        Switch("minimax_m2", key, value)
        for key, value in (
            ("scoring_func", "softmax"), ("use_routing_bias", False), ("use_qk_norm", False),
            ("shared_intermediate_size", 64), ("qk_norm_type", "per_head"),
            ("attn_type_list", [1, 0, 1]),
        )
    ),
    *(
        Switch(family, key, value)
        for family, key, value in (
            ("deepseek_v2", "topk_method", "noaux_tc"), ("deepseek_v2", "norm_topk_prob", True),
            ("deepseek_v2", "scoring_func", "sigmoid"), ("deepseek_v3", "scoring_func", "softmax"),
            ("deepseek_v3", "head_dim", 20), ("deepseek_v3", "num_key_value_heads", 1),
            ("deepseek_v2", "kv_lora_rank", 23), ("glm4_moe_lite", "partial_rotary_factor", 0.5),
            ("glm4_moe_lite", "mlp_layer_types", ["dense", "moe", "sparse"]),
        )
    ),
    *(
        Switch("gemma4_text", key, value)
        for key, value in (
            ("hidden_size_per_layer_input", -1), ("num_kv_shared_layers", 3), ("num_kv_shared_layers", 4),
            ("use_bidirectional_attention", "all"), ("rope_scaling", {"rope_type": "linear"}),
            ("rope_parameters.full_attention", None), ("num_global_key_value_heads", 3),
            ("layer_types", ["chunked_attention"] * 4),
            ("per_layer_config", {"1": {"head_dim": 24}, "3": {"head_dim": 20}}),
            ("per_layer_config.1.sliding_window", 5),
        )
    ),
    *(
        Switch("llama4_text", key, value)
        for key, value in (
            ("layer_types", ["sliding_attention"] * 4), ("attention_chunk_size", None),
            ("no_rope_layers", [1, 0]), ("num_experts_per_tok", 7), ("floor_scale", 0),
            ("attn_temperature_tuning", 4),
        )
    ),
    Switch("gemma4_text", "vocab_size_per_layer_input", 250, "inputs12"),
    Switch("gemma4_text", "num_experts", None, "2of6"),
    Switch("gemma4_text", "top_k_experts", 7, "2of6"),
    Switch("llama", "per_layer_config", {"0": {"head_dim": 8}}),
    Switch("helium", "head_dim", 20),
    Switch("phimoe", "num_experts_per_tok", 3),
    Switch("phimoe", "rope_parameters.short_mscale", None, "other-magnitudes"),
    *(
        Switch("hunyuan_v1_moe", key, value)
        for key, value in (
            ("moe_topk", [2, 1, 2]), ("moe_topk", 7), ("use_cla", True),
            ("moe_intermediate_size", [44, 40, 44]), ("num_shared_expert", [1, 2, 1]),
            ("use_mixed_mlp_moe", False), ("use_qk_norm", False), ("moe_layer_num_skipped", 1),
            ("norm_topk_prob", False),
        )
    ),
    *(
        Switch("dbrx", key, value)
        for key, value in (
            ("ffn_config.moe_normalize_expert_weights", 2.0), ("ffn_config.ffn_act_fn.name", "mish"),
            ("ffn_config.uniform_expert_assignment", True), ("ffn_config.moe_top_k", 7),
            ("attn_config.clip_qkv", -1.0), ("attn_config.kv_n_heads", 2),
            ("attn_config.rope_theta", 500000.0), ("tie_word_embeddings", True),
        )
    ),
    Switch("qwen3_vl_moe", "text_config.norm_topk_prob", False),
    *(Switch(f, "text_config.rope_parameters.rope_type", "proportional") for f in ("glm4v", "glm4v_moe")),
    *(Switch(f, "text_config.hidden_act", "mish") for f in ("glm4v", "glm4v_moe", "mllama")),
    *(
        Switch("glm4v_moe", f"text_config.{key}", value)
        for key, value in (("n_group", 4), ("topk_group", 2), ("scoring_func", "softmax"))
    ),
    *(Switch(family, "text_config.head_dim", 22) for family in ("glm4v", "mllama")),
    Switch("mllama", "text_config.cross_attention_layers", [0, 1, 2, 3, 4]),
    *(
        Switch("llava", "vision_config.model_type", value, "clip-5heads")
        for value in (
            "pixtral", "siglip2_vision_model", "mllama_vision_model", "idefics3_vision",
            "qwen2_5_vl_vision", "glm4v_vision", "kimi_k25_vision", "moonvit", "timm_wrapper",
        )
    ),
    *(
        Switch("internvl", f"vision_config.{key}", value, "root-normed")
        for key, value in (
            ("norm_type", "batch_norm"), ("use_mean_pooling", False), ("layer_norm_eps", 1e-5),
            ("image_size", [28, 42]), ("num_channels", 1), ("hidden_act", "mish"),
        )
    ),
    Switch("dots1", "layer_types", ["chunked_attention"] * 4, "windows"),
    Switch("smollm3", "no_rope_layers", [1, 0]),
    Switch("ministral3", "layer_types", ["sliding_attention"] * 3),
    Switch("ministral3", "rope_parameters.llama_4_scaling_beta", None),
    Switch("gpt_neo", "attention_layers", ["global", "local"]),
    Switch("gptj", "rotary_dim", 7),
    Switch("gptj", "rotary_dim", 18),
    Switch("codegen", "n_head", 6),
    Switch("gemma3_text", "attn_logit_softcapping", 3.0),
    Switch("falcon", "num_ln_in_parallel_attn", 2),
    Switch("falcon", "parallel_attn", False, "new-two-norms"),
    *(
        Switch("mpt", f"attn_config.{key}", value)
        for key, value in (
            ("qk_ln", True), ("prefix_lm", True), ("attn_type", "multiquery_attention"),
            ("alibi", False), ("alibi_bias_max", 16), ("attn_uses_sequence_id", True),
        )
    ),
    Switch("mpt", "expansion_ratio", 3),
    Switch("mpt", "no_bias", False),
    Switch("mpt", "norm_type", "rmsnorm"),
    Switch("mpt", "logit_scale", 0.5),
    *(
        Switch(family, key, value)  # as many patches, in an oblong that transformers cannot stretch
        for key, value in (("image_size", [12, 108]), ("patch_size", [2, 8]))
        for family in (
            "clip_vision_model", "dinov2", "dinov2_with_registers", "siglip_vision_model",
            "aimv2_vision_model",
        )
    ),
    *(
        Switch(family, "patch_size", [2, 8])
        for family in ("vit", "vit_mae", "vit_msn", "deit", "ijepa", "dinov3_vit")
    ),
    Switch("dinov3_vit", "num_attention_heads", 6),  # of 10 channels, which make no two axes
    Switch("dinov3_vit", "num_register_tokens", -1),
    Switch("aimv2_vision_model", "hidden_size", 77, "native"),
    *(Switch(family, "num_channels", 4) for family in ("vit", "dinov2", "clip_vision_model")),
    *(Switch(family, "vision_config.num_channels", 1) for family in ("clip", "siglip", "aimv2")),
    Switch("granite", "logits_scaling", 0.0),
    Switch("granite", "embedding_multiplier", 1001),
    Switch("nemotron", "num_key_value_heads", None),
    Switch("granite", "attention_multiplier", -0.5),
    Switch("granitemoe", "num_experts_per_tok", 9),
    *(Switch(family, "clip_qkv", -1.0) for family in ("olmo", "olmoe")),
    Switch("bloom", "apply_residual_connection_post_layernorm", True),
]  # fmt: skip
CASES = [pytest.param(switch, id=switch.name) for switch in SWITCHES]


def store(model: AnyModel, folder: Path) -> tuple[Path, Path]:
    """A checkpoint and a corpus that are right."""
    if isinstance(model, VisionModel):
        module = vision_models.make_random(model)
        images = write_image_file(folder / "images.h5", random_images(2, *model.image))
        return vision_models.save(module, model, folder / "model"), images
    corpus = write_token_file(folder / "corpus.h5", random_corpus(model.vocabulary, [40]), {})
    return save(make_random(model), model, folder / "model"), corpus


def make_job(switch: Switch, folder: Path) -> Path:
    """A checkpoint that is right but for the switch, and a job over it."""
    folder.mkdir()
    model = switch.random_model()
    directory, corpus = store(model, folder)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    *outer, key = switch.key.split(".")
    place = config
    for name in outer:
        place = place.setdefault(name, {})
    place[key] = switch.value
    path.write_text(json.dumps(config))
    job = {
        "model": {"path": str(directory), "vision": getattr(model, "is_tower", False)},
        "corpus": {"path": str(corpus), "sequence_length": 20},
        "parallel": {"threads": 1},
        "output": {"path": str(folder / "sweep.h5")},
    }
    job_path = folder / "job.toml"
    job_path.write_text(to_toml(job))
    return job_path


@pytest.fixture(scope="module")
def answer_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Switch], str]:
    """What the program says of each selected switch: one world for all."""
    folder = tmp_path_factory.mktemp("switches")
    items = [item for item in request.session.items if hasattr(item, "callspec")]
    switches = [item.callspec.params.get("switch") for item in items]
    names = {switch.name: switch for switch in switches if switch is not None}
    jobs = {  # in folders whose names say nothing, because messages hold paths
        name: make_job(switch, folder / f"{number}")
        for number, (name, switch) in enumerate(names.items())
    }
    said = run_jobs(list(jobs.values()), 1, folder / "sweeps.log")
    return lambda switch: said[jobs[switch.name]]


@pytest.mark.parametrize("switch", CASES)
def test_switch_is_refused_by_name(switch: Switch, answer_of: Callable[[Switch], str]) -> None:
    answer = answer_of(switch)
    assert answer, f"{switch.key} = {switch.value!r} was swept"
    name = switch.key.split(".")[-1]
    assert "config.json" in answer and f'{name}"' in answer, answer
    print(answer)
