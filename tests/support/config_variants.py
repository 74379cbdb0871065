"""Variants of a small config.json of each family: every key that its class in transformers declares
is left out, null, of another type, out of range; keys of old files and other names beside it; every
parameter of rotary positions likewise, at each of its places."""

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
from .random_models.model import DYNAMIC_ROPE, LINEAR_ROPE, LLAMA3_ROPE, YARN_ROPE, longrope

SIGLIP_TEXT = {
    "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 37,
    "vocab_size": 53, "max_position_embeddings": 17,
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
    "reshape_", "apply_", "layerscale", "_fp32", "upcast", "vision_use_head", "pretraining_tp",
    "embedding_fraction", "learned_pos_emb", "text_config", "classifier", "sparse_pred", "decoder_bias",
    "deterministic",
)  # fmt: skip
BUSY = (("roberta", "pad_token_id"), ("xlm-roberta", "pad_token_id"))  # positions begin behind it
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
    if family == "siglip":
        half = base_config("siglip_vision_model")
        return {"model_type": family, "vision_config": half, "text_config": SIGLIP_TEXT}
    models = (*MODELS, *ENCODERS, *vision_models.MODELS)
    model = next(model for model in models if model.family == family)
    return copy.deepcopy(dict(model.config)) | {"model_type": family}


def half_of(family: str) -> str:
    """The key of the object that is read: "" for the whole."""
    return "vision_config" if family in ("clip", "siglip") else ""


def class_of(family: str) -> type[PreTrainedConfig]:
    return CONFIG_MAPPING[family]


def declared_keys(cls: type[PreTrainedConfig]) -> dict[str, tuple[str, Any]]:
    """By name: the types as config_facts writes them, and the default."""
    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    return {
        field.name: ("|".join(type_names(field.type)), field.default)
        for field in dataclasses.fields(cls)
        if field.name not in common
    }


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
    cls = class_of({"clip": "clip_vision_model", "siglip": "siglip_vision_model"}.get(family, family))
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
    "layer_types": (
        None, ("full_attention",), ("sliding_attention",), ("attention",), ("chunked_attention",),
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


EACH_PARAMETER = ("llama", "phi3", "gemma3_text", "ministral3")
OWN_ROPES = ("llama", "gpt_neox", "phi", "phi3", "gemma3_text", "gpt_oss", "olmo3", "ministral3", "glm")
# Rotary positions: keys beside the parameters in one or another family, and their values.
BESIDE: dict[str, tuple[Any, ...]] = {
    "rope_theta": (ABSENT, 500.0, 500, None, "text", -500.0, 0, math.nan, math.inf, 1e30, [500.0]),
    "rotary_emb_base": (500, None, -1),
    "rope_local_base_freq": (500.0, None, 0.0),
    "partial_rotary_factor": (0.5, 1.0, 1, None, 0.0, -0.5, 2.0, "x", 0.3),
    "rotary_pct": (0.5, 1.0, None, 0.0, "x"),
    "original_max_position_embeddings": (24, None, "x", 0),
}
ANY_PARAMETER = (ABSENT, None, "text", 0, -1, math.nan, math.inf, True, [], 3, 2.5)
OPTIONAL = {
    "attention_factor": (0.5, 1, None, 0.0, -1.0, "x"),
    "beta_fast": (16, None, 0, "x"),
    "beta_slow": (2.0, None, 0),
    "mscale": (0.7, None, 0),
    "mscale_all_dim": (1.0, None),
    "truncate": (False, True, None),
    "partial_rotary_factor": (0.5, 1.0, None),
    "original_max_position_embeddings": (24, None),
    "unknown": (1,),
}


def rope_types(family: str, pairs: int) -> dict[str, dict[str, Any]]:
    """One object of parameters for each type that there is, with what the family asks for beside."""
    found = {
        "linear": LINEAR_ROPE,
        "dynamic": DYNAMIC_ROPE | {"factor": 2.0},
        "yarn": YARN_ROPE,
        "llama3": LLAMA3_ROPE,
        "longrope": longrope(pairs, 32),
        "default": {"rope_type": "default", "rope_theta": 500.0},
    }
    if family == "ministral3":
        growth = {"llama_4_scaling_beta": 0.3, "original_max_position_embeddings": 16}
        found = {name: growth | parameters for name, parameters in found.items()}
    return copy.deepcopy(found)


def rope_variants(family: str, pairs: int) -> Iterator[Variant]:
    """Of a family with rotary positions, of which `pairs` are rotated. The parameters one by one in
    the families whose class or module has its own way with them."""
    base = base_config(family)
    base.pop("rope_parameters", None)
    is_own, is_each = family in OWN_ROPES, family in EACH_PARAMETER
    for key, values in BESIDE.items():
        for value in values:
            yield Variant(f"{key}={label(value)}", set_key(base, key, value), (key,))
    for name, whole in rope_types(family, pairs).items():
        config = base | {"max_position_embeddings": 64}
        for place in ("rope_parameters", "rope_scaling"):
            yield from parameter_variants(config, place, name, whole, is_each)
        if is_own:
            yield from doubled_variants(config, name, whole)
    for value in (None, {}, [], "", 0, False, "linear", 3, True):
        for place in ("rope_parameters", "rope_scaling"):
            yield Variant(f"{place}={label(value)}", base | {place: value}, (place,))
        both = base | {"rope_scaling": value, "rope_parameters": dict(LINEAR_ROPE)}
        yield Variant(f"rope_scaling={label(value)}-beside", both, ("rope_scaling",))
    for kind in ("su", "mrope", "proportional", "LINEAR", None, 3, "default"):
        for key in ("type", "rope_type"):
            config = base | {"rope_scaling": {key: kind, "factor": 2.0}}
            yield Variant(
                f"rope_scaling.{key}={label(kind)}", config,
                (key, "rope_type", "type", "original_max_position_embeddings"),
            )  # fmt: skip
    if family in ("gemma3_text", "gemma2", "llama", "olmo3"):
        yield from kind_variants(family, base, pairs)


def parameter_variants(
    base: dict[str, Any], place: str, name: str, whole: dict[str, Any], is_each: bool
) -> Iterator[Variant]:
    """One object of parameters, each of its keys altered, under its name of today or of old."""
    yield Variant(f"{place}-{name}", base | {place: whole}, (place,))
    old = {("type" if key == "rope_type" else key): value for key, value in whole.items()}
    yield Variant(f"{place}-{name}-type", base | {place: old}, (place,))
    theta = old.pop("rope_theta")
    outside = base | {place: old, "rope_theta": theta}
    yield Variant(f"{place}-{name}-theta-outside", outside, (place, "rope_theta"))
    if place == "rope_scaling" or not is_each:
        return
    for key in [key for key in whole if key != "rope_type"]:
        for value in ANY_PARAMETER:
            config = set_key(base | {place: whole}, f"{place}.{key}", value)
            yield Variant(f"{name}.{key}={label(value)}", config, (key, "rope_type"))
    for key, values in OPTIONAL.items():
        for value in values:
            config = set_key(base | {place: whole}, f"{place}.{key}", value)
            yield Variant(f"{name}.{key}={label(value)}", config, (key,))


def doubled_variants(
    base: dict[str, Any], name: str, whole: dict[str, Any]
) -> Iterator[Variant]:
    """The same fact at two places."""
    default = {"rope_type": "default", "rope_theta": 900.0}
    for first, second in ((whole, default), (default, whole)):
        config = base | {"rope_scaling": first, "rope_parameters": second}
        yield Variant(f"scaling-{first['rope_type']}-beside-{second['rope_type']}", config,
                      ("rope_scaling", "rope_parameters"))  # fmt: skip
    for theta in (77.0, None, "x"):
        config = base | {"rope_parameters": whole, "rope_theta": theta}
        yield Variant(f"{name}-theta={label(theta)}-beside", config, ("rope_theta",))
    for type_name in ("linear", "default", None, "x"):
        config = base | {"rope_parameters": whole | {"type": type_name}}
        yield Variant(f"{name}-type={label(type_name)}-beside", config, ("type",))
    for length in (24, None, "x", 0):
        key = "original_max_position_embeddings"
        config = base | {"rope_parameters": whole, key: length}
        yield Variant(f"{name}-original={label(length)}-beside", config, (key,))
    for part in (0.5, 1.0, None):
        config = base | {"rope_parameters": whole, "partial_rotary_factor": part}
        yield Variant(f"{name}-part={label(part)}-beside", config, ("partial_rotary_factor",))
        config = base | {"rope_parameters": whole | {"partial_rotary_factor": part}}
        config |= {"partial_rotary_factor": 0.25, "rotary_pct": 0.25}
        yield Variant(f"{name}-part={label(part)}-over", config, ("partial_rotary_factor",))
    for length in (ABSENT, 48, 10**6):
        config = set_key(base | {"rope_parameters": whole}, "max_position_embeddings", length)
        yield Variant(f"{name}-longest={label(length)}", config, ("max_position_embeddings",))


def kind_variants(family: str, base: dict[str, Any], pairs: int) -> Iterator[Variant]:
    """Parameters for each kind of layers, as Gemma 3 has them."""
    theta = {"rope_type": "default", "rope_theta": 700.0}
    for name, whole in rope_types(family, pairs).items():
        old = {("type" if key == "rope_type" else key): value for key, value in whole.items()}
        for kinds in (
            {"full_attention": whole}, {"sliding_attention": whole}, {"full_attention": old},
            {"full_attention": whole, "sliding_attention": theta},
            {"full_attention": whole, "truncate": False},
            {"full_attention": whole | {"truncate": False}},
        ):  # fmt: skip
            config = base | {"rope_parameters": kinds, "max_position_embeddings": 64}
            tag = "-".join(f"{kind}:{len(str(value))}" for kind, value in kinds.items())
            yield Variant(f"kinds-{name}-{tag}", config, ("rope_parameters", *kinds))
            yield Variant(
                f"kinds-{name}-{tag}-scaling", config | {"rope_scaling": dict(LINEAR_ROPE)},
                ("rope_parameters", "rope_scaling", *kinds),
            )  # fmt: skip
    for value in (None, {}, "text"):
        config = base | {"rope_parameters": {"full_attention": value, "sliding_attention": theta}}
        yield Variant(f"kinds-full={label(value)}", config, ("full_attention",))
