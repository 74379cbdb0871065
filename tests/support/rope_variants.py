"""Variants of the rotary positions of a small config.json: every parameter is left out, null, of
another type, out of range, at each of its places."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

from .config_variants import ABSENT, Variant, base_config, label, set_key
from .random_models.model import DYNAMIC_ROPE, LINEAR_ROPE, LLAMA3_ROPE, YARN_ROPE, longrope

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
    if family in ("gemma3_text", "gemma2", "llama", "olmo3", "modernbert"):
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
