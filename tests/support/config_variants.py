"""Variants of a small config.json of each family: every key that its class in transformers declares
is left out, null, of another type, out of range; keys of old files and other names beside it."""

from __future__ import annotations

import copy
import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.mpt.configuration_mpt import MptAttentionConfig

from . import vision_models
from .random_models import ENCODERS, MODELS

# Models with a text and a vision half: the type of what is read.
HALVES = {
    "clip": "clip_vision_model", "siglip": "siglip_vision_model", "aimv2": "aimv2_vision_model",
}  # fmt: skip
ABSENT = object()
ANY_VALUES = (
    ABSENT, None, "text", [], {}, True, False, 7, 0, -1, 2.5, 0.0, -0.5, math.nan, math.inf, 10**30,
    2**40,
)  # fmt: skip
IDLE_VALUES = (ABSENT, None, "text", True, 7, 0.25)
# Keys that say nothing of a forward pass without a cache.
IDLE = (
    "drop", "token_id", "initializer", "use_cache", "summary", "init_", "router", "decoder_hidden",
    "decoder_num", "decoder_inter",
    "mask_", "norm_pix", "projection_dim", "logit_scale_init", "pooler", "encoder_stride", "_out_",
    "reshape_", "apply_", "layerscale", "_fp32", "upcast", "use_head", "pos_embed", "pretraining_tp",
    "embedding_fraction", "learned_pos_emb", "text_config", "classifier", "sparse_pred", "decoder_bias",
    "deterministic", "chunk_size", "logits_to_keep",
    "time_step_max", "time_step_floor", "time_step_init", "time_step_scale", "use_mamba", "associative",
    "ssm_cache", "expert_overlap", "rescale_", "nextn", "mtp_layers", "z_loss",
)  # fmt: skip
BUSY = (  # positions begin behind the first two; the third is read by a router; the last are factors
    ("roberta", "pad_token_id"), ("xlm-roberta", "pad_token_id"), ("phimoe", "router_jitter_noise"),
    ("llama4_text", "attention_chunk_size"), ("falcon_h1", "attention_out_multiplier"),
    ("falcon_h1", "ssm_out_multiplier"),
)  # fmt: skip
TEXT_VALUES = ("gelu", "relu", "silu", "gelu_new", "quick_gelu", "relu2", "mish")
LIST_VALUES = ([0], [99], [1, "x"], ["full_attention"], [0.5])


@dataclass(frozen=True)
class Variant:
    """A config.json, and the keys in which it differs from the family's small one."""

    name: str
    config: dict[str, Any]
    keys: tuple[str, ...]
    is_idle: bool = False  # transformers' class is asked, and its module is not


def base_config(family: str) -> dict[str, Any]:
    """The small config of a family."""
    models = (*MODELS, *ENCODERS, *vision_models.MODELS)
    model = next(model for model in models if model.family == family)
    return copy.deepcopy(dict(model.config)) | {"model_type": family}


def half_of(family: str) -> str:
    """The key of the object that is read: "" for the whole."""
    return "vision_config" if family in HALVES else ""


def class_of(family: str) -> type[PreTrainedConfig]:
    return CONFIG_MAPPING[family]


def declared_keys(cls: type[PreTrainedConfig]) -> dict[str, tuple[str, Any]]:
    """By name: the types as config_facts writes them, and the default."""
    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    return {
        field.name: ("|".join(type_names(field.type)), as_json(field.default))
        for field in dataclasses.fields(cls)
        if field.name not in common
    }


def as_json(default: Any) -> Any:
    """A default as config_facts writes it: tuples are lists, and JSON has no infinity."""
    if isinstance(default, (list, tuple)):
        return [as_json(value) for value in default]
    return None if default == math.inf else default


def type_names(annotation: Any) -> list[str]:
    """int | list[int] | None -> ["int", "list[int]", "None"]; configs and typed dicts are dicts."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return list(dict.fromkeys(name for each in inner for name in type_names(each)))
    if annotation is type(None):
        return ["None"]
    if origin is typing.Literal:
        return ["str"]
    if origin in (list, tuple):
        return [f"list[{type_names(inner[0])[0]}]"]
    if annotation in (list, tuple):
        return ["list"]
    return [annotation.__name__] if annotation in (int, float, bool, str) else ["dict"]


def set_key(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with a value at a place, "vision_config.hidden_size"."""
    config = copy.deepcopy(config)
    *outer, key = path.split(".")
    place = config
    for name in outer:
        place = place.setdefault(name, {})
    if value is ABSENT:
        place.pop(key, None)
    else:
        place[key] = copy.deepcopy(value)
    return config


def label(value: Any) -> str:
    return "absent" if value is ABSENT else repr(value).replace(" ", "")


def key_variants(family: str) -> Iterator[Variant]:
    """Each declared key, and each key that stands beside them in old or foreign files."""
    base, prefix = base_config(family), half_of(family)
    cls = class_of(HALVES.get(family, family))
    place = f"{prefix}." if prefix else ""
    layers = (base[prefix] if prefix else base).get("num_hidden_layers", 3)
    yield Variant("as it is", base, ())
    for key, (kinds, _) in declared_keys(cls).items():
        is_idle = any(word in key for word in IDLE) and (family, key) not in BUSY
        values = [*(IDLE_VALUES if is_idle else ANY_VALUES)]
        values += TEXT_VALUES if kinds == "str" and not is_idle else ()
        values += LIST_VALUES if "list" in kinds and not is_idle else ()
        for value in values:
            if value == 10**30 and "int" not in kinds:
                value = 1e30  # beyond 64 bits JSON's whole numbers are floating-point ones to us
            config = set_key(base, place + key, value)
            is_class_enough = is_idle and value not in (True, 0.25)
            yield Variant(f"{key}={label(value)}", config, (key,), is_class_enough)
    names = dict(cls.attribute_map)
    if family == "qwen3_moe":
        names = {"num_local_experts": "num_experts"}
    for name, key in names.items():
        own = base.get(key, base.get(name, 4))
        for value in (own, 2 * own, None, "text", 0):
            yield Variant(f"{name}={label(value)}", set_key(base, name, value), (name, key))
    for key, values in EXTRA_KEYS.items():
        for value in values:
            named = [value[0]] * layers if isinstance(value, tuple) else value
            yield Variant(f"{key}={label(named)}", set_key(base, place + key, named), (key,))
    for key, values in KEYS_OF.get(family, {}).items():
        for value in values:
            yield Variant(f"{key}={label(value)}", set_key(base, key, value), (key,))
    if prefix:
        yield from part_variants(base)
    if family == "mpt":
        for key in declared_keys(MptAttentionConfig):
            for value in IDLE_VALUES if key == "attn_pdrop" else ANY_VALUES[:-2]:
                config = set_key(base, f"attn_config.{key}", value)
                is_idle = key == "attn_pdrop"
                yield Variant(f"attn_config.{key}={label(value)}", config, (key,), is_idle)


EXTRA_KEYS: dict[str, tuple[Any, ...]] = {
    "head_dim": (None, 6, 8, 10, 16, 0, "x"),
    "num_key_value_heads": (None, 1, 0),
    "num_experts": (None, 3, "x"),
    "num_local_experts": (None, 3),
    "full_attention_interval": (2, None, 0, "x"),
    "layer_types": (
        None, ("linear_attention",), ("full_attention",), ("sliding_attention",), ("attention",), ("chunked_attention",),
        ("text",), [], ["full_attention"], "full_attention",
    ),
    "is_causal": (True, False, None, 0),
    "attention_bias": (True, None),
    "mlp_bias": (True, None),
    "sliding_window": (16, None),
    "use_sliding_window": (True, None),
    "sliding_window_pattern": (2, None, 0, "x"),
    "_sliding_window_pattern": (2,),
    "attention_types": (
        [[["local"], 3], [["global"], 1]], [[["local", "global", "global", "local"], 1]],
        [[["global"], 3]], [[["global"], -1], [["local"], 4]], [[[], 9], [["local"], 4]], [["local", 4]],
        [[["other"], 4]], [[["global"], 2.0]], [[["global"]]], [{"local": 4}], ["local"], [[["local"], 4, 5]],
    ),
    "attention_layers": (
        ["local", "global", "global", "global"], ["local"], None, "text",
        ["local", "other", "local", "local"],
    ),
    "rotary_dim": (4, 6, 16, 18),
    "no_rope_layers": ([1, 0, 1, 1, 0], [1, 0], [0, 0, 0, 0]),
    "n_embed": (None, 40, "x"),
    "hidden_activation": ("relu", None),
    "hidden_act": ("relu",),
    "pretraining_tp": (2,),
    "quantization_config": (None, {"quant_method": "fp8"}),
    "tie_word_embeddings": (True, False),
    "num_labels": (3,),
    "an_unknown_key": ({"a": [1, None]},),
    "transformers_version": ("4.0.0", None),
}  # fmt: skip


# Of one family alone: other names, and what counts where no key of today is there.
KEYS_OF: dict[str, dict[str, tuple[Any, ...]]] = {
    "lfm2": {"tie_embedding": (True, False, None, "x"), "block_ff_dim": (96, None, "x")},
    "nemotron_h": {
        "layer_types": (["mamba", "mlp", "attention", "mlp", "mamba"], ["mlp"], [], None, ["moe", "conv"]),
        "hybrid_override_pattern": ("M-*M-", "MEM", "", "M?", None),
        "mamba_n_groups": (1, 3, None), "mamba_d_conv": (2, 0), "mamba_dt_min": (0.1, None),
        "mamba_conv_bias": (False, None),
    },
}


def part_variants(base: dict[str, Any]) -> Iterator[Variant]:
    """Of a model with a text and a vision half."""
    for value in (ABSENT, None, {}, "text", []):
        yield Variant(
            f"vision_config={label(value)}", set_key(base, "vision_config", value), ("vision_config",)
        )
    for value in (None, {"hidden_size": 40, "num_attention_heads": 5}, {}, {"hidden_size": "x"}):
        yield Variant(
            f"vision_config_dict={label(value)}", set_key(base, "vision_config_dict", value),
            ("vision_config_dict", "hidden_size"),
        )  # fmt: skip
