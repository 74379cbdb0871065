"""The fields of a GGUF file that change numbers: read into config.json, or refused by name.

In: the fields of a file, and the family that its architecture is. Out: config.json as far as they tell
it. Refuses a field that is missing where llama.cpp and transformers would not take the same for it, one
of another type, a scaled rotary embedding but for `linear` and `yarn`, and every field of the
architecture that is not known here, unless it has a value that changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from preparation.errors import MODEL, PreparationError
from preparation.gguf_file import Fields, shown
from preparation.gguf_families import VOCAB_SIZE, Family, UnknownFacts
from preparation.gguf_layouts import Config

TOKENS = "tokenizer.ggml.tokens"
SCALING = "rope.scaling."
LARGEST = (1 << 31) - 1  # of a size
TOLERANCE = 1e-6  # of a float32 that follows from others

# What a field of the architecture may be, if it is no fact of config.json: the values that change
# nothing. None: any.
Neutral = Callable[[Config], tuple[object, ...]] | None


def always(*values: object) -> Neutral:
    return lambda config: values


def attention_scale(config: Config) -> float:
    return float(max(1, config.get("query_pre_attn_scalar", config.get("head_dim", 1)))) ** -0.5


def is_yarn(config: Config) -> bool:
    return bool(config.get("rope_scaling", {}).get("rope_type") == "yarn")


WITHOUT_EFFECT: dict[str, Neutral] = {
    "attention.causal": always(True),
    "attention.clamp_kqv": always(0),
    "attention.key_length": lambda config: (config.get("head_dim"),),
    "attention.key_length_swa": lambda config: (config.get("head_dim"),),
    "attention.max_alibi_bias": always(0),
    "attention.scale": lambda config: (0, attention_scale(config)),
    "attention.shared_kv_layers": always(0),
    "attention.sliding_window": always(0),
    "attention.value_length": lambda config: (config.get("head_dim"),),
    "attention.value_length_swa": lambda config: (config.get("head_dim"),),
    "attn_logit_softcapping": always(0),
    "embedding_scale": always(0, 1),
    "expert_count": always(0),
    "expert_used_count": always(0),
    "final_logit_softcapping": always(0),
    "leading_dense_block_count": always(0),
    "logit_scale": always(0, 1),
    "nextn_predict_layers": always(0),
    "pooling_type": None,  # what embeddings are made of, behind the last layer
    "residual_scale": always(0, 1),
    "rope.dimension_count": lambda config: (config.get("head_dim"),),
    "rope.dimension_count_swa": lambda config: (config.get("head_dim"),),
    "rope.scale_linear": always(0, 1),
    "rope.scaling.alpha": always(0),
    "rope.scaling.attn_factor": always(0, 1),
    "rope.scaling.finetuned": None,
    "rope.scaling.original_context_length": None,  # yarn's alone
    "rope.scaling.yarn_attn_factor": always(1),
    "rope.scaling.yarn_beta_fast": None,
    "rope.scaling.yarn_beta_slow": None,
    "rope.scaling.yarn_ext_factor": lambda config: (-1, 1 if is_yarn(config) else 0),
    "rope.scaling.yarn_log_multiplier": always(0),
    "tensor_data_layout": None,  # of the converter; the tensors lie as llama.cpp reads them
    "use_parallel_residual": always(False),
}


class FieldReader:
    """Takes each field of the architecture once."""

    def __init__(self, path: Path, fields: Fields, family: Family) -> None:
        self._path = path
        self._begin = f"{fields['general.architecture']}."
        self._fields = fields
        self._left = {
            key.removeprefix(self._begin): value
            for key, value in fields.items()
            if key.startswith(self._begin)
        }
        self._family = family

    def config(self, tensors: Collection[str]) -> Config:
        """config.json as far as the fields tell it, of a file with tensors of these names."""
        family = self._family
        config = dict(family.config_constants)
        for key, name in family.config_keys.items():
            config[key] = self._fact(key, name, config)
        self._count_layers(config, len(tensors))
        for key, name in family.optional_keys.items():
            if self._left.get(name):
                is_list = key == LAYER_TYPES
                config[key] = self._layer_types(name, config) if is_list else self._number(name)
        for key, name in family.layer_lists.items():
            config[key] = self._layer_list(name, config["num_hidden_layers"])
        for key, name in family.whole_keys.items():
            config[key] = self._whole(name)
        try:
            config |= family.from_tensors(config, tensors)
            config |= family.derived(config)
        except UnknownFacts as unknown:
            raise self._refuse(str(unknown)) from None
        self._check(config)
        return config

    def _check(self, config: Config) -> None:
        """That heads can be turned, and that every field is known."""
        if config.get("head_dim", 0) % 2 != 0:
            raise self._refuse(f"its heads are {config['head_dim']} wide, expected an even width")
        config |= self._rotary_scaling(config)
        for key, value in self._family.fixed.items():
            self._check_fixed(key, value(config), config)
        for name, value in self._left.items():
            self._check_without_effect(name, value, config)

    def _fact(self, key: str, name: str, config: Config) -> Any:
        if name == VOCAB_SIZE:
            return self._vocabulary_size()
        if name in self._left:
            return self._number(name)
        if key in self._family.defaults:
            return self._family.defaults[key](config, self._left)
        raise self._refuse(f"there is no field {self._begin}{name}")

    def _count_layers(self, config: Config, num_tensors: int) -> None:
        """Those that predict tokens further ahead stand behind the others, and are left out."""
        layers = config["num_hidden_layers"]
        if layers > num_tensors:
            found = f"{self._begin}block_count is {layers}, the file has {num_tensors} tensors"
            raise self._refuse(found)
        ahead = config.get("_next_layers", 0)
        if ahead >= layers:
            raise self._refuse(f"{self._begin}{NEXT_LAYERS} is {ahead} of {layers} layers")
        config["num_hidden_layers"] = layers - ahead

    def _refuse(self, found: str) -> PreparationError:
        return PreparationError(MODEL, f"{self._path}: {found}")

    def _check_fixed(self, key: str, expected: Any, config: Config) -> None:
        if config[key] != expected:
            name = f"{self._begin}{self._family.config_keys[key]}"
            raise self._refuse(f"{name} is {config[key]}, expected {expected} of this architecture")

    def _layer_types(self, name: str, config: Config) -> list[str]:
        """Which layers slide, from a list of true and false."""
        slides = self._left.pop(name)
        layers = config["num_hidden_layers"]
        is_good = isinstance(slides, list) and len(slides) == layers
        if not is_good or any(type(one) is not bool for one in slides):
            raise self._refuse(
                f"{self._begin}{name} is {shown(slides)}, expected true or false for each of {layers} layers"
            )
        return ["sliding_attention" if one else "full_attention" for one in slides]

    def _layer_list(self, name: str, layers: int) -> list[int]:
        """A whole number from 0 for each layer; one number is that of all."""
        value = self._left.pop(name, None)
        numbers = value if isinstance(value, list) else [value] * layers
        if len(numbers) < layers or any(type(one) is not int or one < 0 for one in numbers):
            found = "not there" if value is None else shown(value)
            raise self._refuse(f"{self._begin}{name} is {found}, expected a whole number for each layer")
        return numbers[:layers]

    def _whole(self, name: str) -> int:
        """A field by its whole name."""
        value = self._fields.get(name)
        if type(value) is not int or value < 0:
            found = "not there" if value is None else shown(value)
            raise self._refuse(f"{name} is {found}, expected a whole number from 0")
        return value

    def _vocabulary_size(self) -> int:
        tokens = self._fields.get(TOKENS)
        if VOCAB_SIZE in self._left:
            size = self._number(VOCAB_SIZE)
        elif isinstance(tokens, list):
            return len(tokens)
        else:
            raise self._refuse(f"there is no field {self._begin}{VOCAB_SIZE}")
        if isinstance(tokens, list) and len(tokens) > size:
            found = f"{self._begin}{VOCAB_SIZE} is {size} for {len(tokens)} tokens"
            raise self._refuse(found)
        return size

    def _number(self, name: str) -> Any:
        """A size or a positive real number, as `name` asks for; one for all layers."""
        value = self._left.pop(name)
        if isinstance(value, list) and value and all(each == value[0] for each in value):
            value = value[0]
        if name in FLAGS:
            is_good, expected = type(value) is bool, "true or false"
        elif name in REALS:
            is_good = type(value) in (int, float) and math.isfinite(value) and value > 0
            expected = "a positive number"
        else:
            least = 0 if name in COUNTS else 1
            is_good = type(value) is int and least <= value <= LARGEST
            expected = f"a whole number from {least}"
        if not is_good:
            raise self._refuse(f"{self._begin}{name} is {shown(value)}, expected {expected}")
        # The shortest decimal of the float32 that is stored: 1e-05, not 9.999999747378752e-06.
        return float(str(np.float32(value))) if name in REALS else value

    def _rotary_scaling(self, config: Config) -> Config:
        kind = self._left.pop(f"{SCALING}type", None)
        factor = self._left.pop(f"{SCALING}factor", 1)
        where = f"{self._begin}{SCALING}"
        if type(factor) not in (int, float) or not math.isfinite(factor) or factor < 0:
            raise self._refuse(f"{where}factor is {shown(factor)}, expected a positive number")
        factor = factor or 1  # as llama.cpp takes 0
        if kind not in (None, "none", "linear", "yarn"):
            raise self._refuse(f'{where}type is {shown(kind)}, expected "none", "linear" or "yarn"')
        if self._family.needs_yarn and kind != "yarn":
            raise self._refuse(f'{where}type is {shown(kind)}, expected "yarn" of this architecture')
        if factor == 1 and not self._family.needs_yarn:
            return {}
        if kind not in ("linear", "yarn"):
            found = "no type" if kind is None else f"the type {shown(kind)}"
            raise self._refuse(
                f'{where}factor is {factor} with {found}, expected the type "linear" or "yarn", or none and'
                " no factor"
            )
        more = self._yarn(config) if kind == "yarn" else {}
        return {"rope_scaling": {"rope_type": kind, "factor": float(str(np.float32(factor))), **more}}

    def _yarn(self, config: Config) -> Config:
        """arXiv 2309.00071, with llama.cpp's defaults, which are transformers'."""
        name = f"{SCALING}original_context_length"
        if name not in self._left:
            raise self._refuse(f'there is no field {self._begin}{name}, which the type "yarn" needs')
        facts = {"original_max_position_embeddings": self._number(name)}
        for key, default in (("beta_fast", 32.0), ("beta_slow", 1.0)):
            stored = f"{SCALING}yarn_{key}"
            facts[key] = self._number(stored) if stored in self._left else default
        if self._family.yarn is not None:
            facts |= self._family.yarn(self._left.pop(f"{SCALING}yarn_log_multiplier", 0.0), config)
        return facts

    def _check_without_effect(self, name: str, value: Any, config: Config) -> None:
        full = f"{self._begin}{name}"
        rules = WITHOUT_EFFECT | self._family.without_effect
        if name not in rules:
            raise self._refuse(
                f"the field {full} ({shown(value)}) is not known here, and may change numbers"
            )
        rule = rules[name]
        if rule is not None and not any(is_same(value, expected) for expected in rule(config)):
            expected = " or ".join(shown(each) for each in rule(config))
            raise self._refuse(f"{full} is {shown(value)}, expected {expected}")


LAYER_TYPES = "layer_types"
NEXT_LAYERS = "nextn_predict_layers"
COUNTS = (  # that may be 0
    NEXT_LAYERS,
    "attention.shared_kv_layers",
    "embedding_length_per_layer_input",
    "expert_shared_count",
    "leading_dense_block_count",
)
FLAGS = ("expert_weights_norm", "ssm.dt_b_c_rms", "use_parallel_residual")
REALS = (
    "attention.clamp_kqv",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.max_alibi_bias",
    "attention.scale",
    "attention.temperature_scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "expert_weights_scale",
    "final_logit_softcapping",
    "logit_scale",
    "residual_scale",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
)


def is_same(value: Any, expected: Any) -> bool:
    if isinstance(expected, float) and type(value) in (int, float):
        return math.isclose(value, expected, rel_tol=TOLERANCE)
    return bool(value == expected)
