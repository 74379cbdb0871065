"""What transformers makes of a config.json: a refusal, or facts, or a residual stream.

Weights depend on the family, a tensor's name and its shape alone, so that two configs which mean
the same have the same residual stream. Layer 0 is the input of the first block.
"""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from transformers import AutoConfig, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from . import vision_models
from .double_precision import InDouble, prepare_for_double
from .random_models.weights import (
    ENCODERS,
    SELECTION_BIAS,
    auto_class,
    blocks_of,
    decoder_of,
    distribution,
    layer_scalars,
    owned_parameters,
    selection_biases,
    xielu_numbers,
)

SMALL = 3_000_000  # parameters: of larger modules the facts alone are compared
IDS = np.array([3, 17, 29, 6, 41, 5, 23, 11, 37, 2, 19, 31] * 4)[:40]
MOST_COUNT = 1000  # of layers and heads: transformers makes an object for each
COUNTS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_attention_heads", "n_head", "n_heads",
    "num_heads", "decoder_num_hidden_layers", "num_register_tokens",
)  # fmt: skip
MASKED_HEADS = {"cls", "lm_head", "head", "decoder"}  # which predict masked tokens
SILENT = {"pooler", "mask_token", "head", "decoder", "text_model", "logit_scale", "logit_bias"}


# Of latents, whose epsilon is no key, and of narrow rows, which may have one of their own.
OTHER_NORMS = ("_a_layernorm", ".dt_layernorm", ".b_layernorm", ".c_layernorm")


class Refused(Exception):
    """transformers cannot read it, or cannot run it; what it said."""


@dataclass(frozen=True)
class Vision:
    """How a Vision Transformer of a family is made."""

    module: str
    has_pooler_option: bool = False


VISION = {
    "clip": Vision("CLIPModel"),
    "clip_vision_model": Vision("CLIPVisionModel"),
    "vit": Vision("ViTModel", has_pooler_option=True),
    "vit_mae": Vision("ViTMAEModel"),
    "dinov2": Vision("Dinov2Model"),
    "dinov2_with_registers": Vision("Dinov2WithRegistersModel"),
    "vit_msn": Vision("ViTMSNModel"),
    "deit": Vision("DeiTModel", has_pooler_option=True),
    "ijepa": Vision("IJepaModel"),
    "dinov3_vit": Vision("DINOv3ViTModel"),
    "aimv2": Vision("Aimv2Model"),
    "aimv2_vision_model": Vision("Aimv2VisionModel"),
    "siglip": Vision("SiglipModel"),
    "siglip_vision_model": Vision("SiglipVisionModel"),
}


def refuse_absurd(config: dict[str, Any]) -> None:
    """What transformers would run out of memory on."""
    for key, value in config.items():
        if isinstance(value, dict):
            refuse_absurd(value)
        if key in COUNTS and isinstance(value, (int, float)) and value > MOST_COUNT:
            raise Refused(f"{key} = {value} is beyond any memory")


class Reference:
    """transformers' module for a config.json."""

    def __init__(
        self, directory: Path, family: str, elements: int | None, is_idle: bool = False
    ) -> None:
        """`elements`: how many the program expects; None where it refuses. Raises Refused where
        transformers refuses; of an idle variant its class alone is asked."""
        self.family = family
        self.is_small = elements is not None and elements <= SMALL
        refuse_absurd(json.loads((directory / "config.json").read_text()))
        try:
            self.config = AutoConfig.from_pretrained(directory)
            if is_idle:
                return
            with torch.device("cpu" if self.is_small else "meta"), no_init_weights():
                self.module = self._construct()
                self.module.tie_weights()
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from error
        self.module.eval()

    def _construct(self) -> PreTrainedModel:
        config = copy.deepcopy(self.config)
        if self.family in VISION:
            vision = VISION[self.family]
            options = {"add_pooling_layer": False} if vision.has_pooler_option else {}
            config._attn_implementation = "eager"
            return getattr(transformers, vision.module)(config, **options)
        config._experts_implementation = "eager"  # others ask for widths that suit a kernel
        is_alibi = self.family == "falcon" and bool(config.alibi)
        return auto_class(config).from_config(
            config, attn_implementation="sdpa" if is_alibi else "eager"
        )

    @property
    def ids(self) -> np.ndarray:
        """int64 [T]: within the vocabulary, and not more than there are positions."""
        length = len(IDS)
        if self.family in ("gpt2", "gpt_bigcode", "opt", "bert", "gpt_neo", "gptj", "codegen", "biogpt"):
            length = min(length, self.config.max_position_embeddings)
        if self.family in ("roberta", "xlm-roberta"):
            length = min(length, self.config.max_position_embeddings - self.config.pad_token_id - 1)
        if self.family == "mpt":
            length = min(length, self.config.max_seq_len)
        return IDS[:length] % self.config.vocab_size

    @property
    def image(self) -> np.ndarray:
        """float32 [3, height, width]: of the size that the positions were made for, if small."""
        height, width = np.broadcast_to(self.half.image_size, 2)
        generator = np.random.default_rng(5)
        return generator.normal(size=(3, int(height), int(width))).astype(np.float32)

    @property
    def half(self) -> Any:
        """The config of what is swept."""
        return getattr(self.config, "vision_config", self.config)

    def fill(self, cache: dict[tuple[str, tuple[int, ...]], torch.Tensor]) -> None:
        """The weights of the family, which `cache` keeps from module to module."""
        names = {id(weight): name for name, weight in self.module.named_parameters()}
        with torch.no_grad():
            for owner, name, weight in owned_parameters(self.module):
                key = (names[id(weight)], tuple(weight.shape))
                if key not in cache:
                    cache[key] = self._make(owner, name, weight, key[0])
                weight.copy_(cache[key])
            for name, bias in selection_biases(self.module):
                bias.copy_(self._noise(name, bias) * SELECTION_BIAS)

    def _make(self, owner: nn.Module, name: str, weight: nn.Parameter, path: str) -> torch.Tensor:
        if self.family in VISION:
            mean, deviation = vision_models.weights.distribution(owner, name, weight, 1.0)
        else:
            mean, deviation = distribution(self.module, owner, name, weight)
            if isinstance(owner, nn.Embedding) and owner is self.module.get_input_embeddings():
                deviation = 0.05  # the epsilon of norms and scales of embeddings count
        return mean + deviation * self._noise(path, weight)

    def _noise(self, path: str, weight: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(path.encode()))
        return torch.randn(weight.shape, generator=generator)

    @property
    def encoder(self) -> nn.Module:
        if self.family in VISION:
            return vision_models.weights.encoder_of(self.module)
        return decoder_of(self.module)

    @property
    def blocks(self) -> nn.ModuleList:
        return self._blocks(self.module)

    def _blocks(self, module: PreTrainedModel) -> nn.ModuleList:
        is_vision = self.family in VISION
        return (vision_models.weights.blocks_of if is_vision else blocks_of)(module)

    @torch.no_grad()
    def stream(self) -> np.ndarray:
        """[layers + 1, T, C] in the module's dtype; raises Refused where transformers fails at it."""
        layers: list[torch.Tensor] = []

        def keep(hidden: Any) -> None:
            layers.append((hidden[0] if isinstance(hidden, tuple) else hidden)[0].clone())

        hooks = [
            self.blocks[0].register_forward_pre_hook(
                lambda _module, inputs, named: keep(inputs[0] if inputs else named["hidden_states"]),
                with_kwargs=True,
            )
        ]
        hooks += [b.register_forward_hook(lambda _m, _i, output: keep(output)) for b in self.blocks]
        try:
            self._run()
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from error
        finally:
            for hook in hooks:
                hook.remove()
        found = torch.stack(layers).numpy()
        if not np.isfinite(found).all():
            raise Refused("its residual stream is not finite")
        return found

    def exact_stream(self) -> np.ndarray:
        """float64 [layers + 1, T, C]; the module has float64 from then on."""
        self.module.double()
        prepare_for_double(self.module)
        with InDouble():
            return self.stream()

    def rounded_streams(self, count: int) -> list[np.ndarray]:
        """After exact_stream, in float64: what becomes of it if every weight is off by a rounding of
        float32, up or down by chance. Float32's own error is one sample of what rounding can do."""
        weights = {name: weight.clone() for name, weight in self.module.named_parameters()}
        generator = torch.Generator().manual_seed(17)
        streams = []
        with torch.no_grad(), InDouble():
            for _ in range(count):
                for name, weight in self.module.named_parameters():
                    up = torch.randint(0, 2, weight.shape, generator=generator)
                    weight.copy_(weights[name] * (1 + (2 * up - 1) * 2.0**-24))
                streams.append(self.stream())
        return streams

    def _run(self) -> None:
        if self.family not in VISION:
            self.module.base_model(torch.from_numpy(self.ids)[None], use_cache=False)
            return
        image = torch.from_numpy(self.image)[None].to(next(self.encoder.parameters()).dtype)
        options: dict[str, Any] = {}
        if self.family == "vit_mae":
            self.module.config.mask_ratio = 0.0
            rows, columns = np.broadcast_to(self.half.patch_size, 2)
            patches = (image.shape[2] // rows) * (image.shape[3] // columns)
            options["noise"] = torch.arange(patches)[None].float()
        self.encoder(image, **options)

    def elements(self) -> int:
        """Of all parameters that a residual stream or a loss needs."""
        is_vision = self.family in VISION
        module = self.encoder if is_vision else self.module
        embedding = None if is_vision else module.get_input_embeddings().weight  # maybe a head's too
        return sum(
            weight.numel()
            for name, weight in (
                *module.named_parameters(), *selection_biases(module), *xielu_numbers(module),
                *layer_scalars(module),
            )
            if weight is embedding or not self._silent & set(name.split("."))
        )

    @property
    def _silent(self) -> set[str]:
        """Modules that neither a residual stream nor a loss needs."""
        if self.family in VISION:
            return SILENT
        return MASKED_HEADS if self.family in ENCODERS and self.family != "eurobert" else set()

    def facts(self) -> dict[str, Any]:
        """In the words of config_facts, whatever can be read from the module and its config."""
        config = self.half
        found: dict[str, Any] = {
            "layers": len(self.blocks),
            "channels": config.hidden_size,
            "heads": getattr(config, "num_attention_heads", 0),
            "epsilon": self._epsilon(),
        }
        if self.family not in VISION:
            found["vocabulary"] = config.vocab_size
            found["ties"] = bool(config.tie_word_embeddings)
            found["window"] = self._windows()
            length = "max_seq_len" if self.family == "mpt" else "max_position_embeddings"
            found["max_positions"] = getattr(config, length, 0)
        return found

    def _epsilon(self) -> float:
        if self.family == "olmo":
            return 1e-5  # a constant of its norms
        names = ("variance_epsilon", "eps")
        found = {
            float(getattr(part, name))
            for path, part in self.encoder.named_modules()
            for name in names
            if "Norm" in type(part).__name__ and hasattr(part, name)
            if not path.endswith(OTHER_NORMS)
        }
        (value,) = found
        return value

    def _windows(self) -> list[int]:
        if self.family in ("mistral", "ministral3", "mixtral", "phi3", "phimoe", "starcoder2"):
            return [self.config.sliding_window or 0] * len(self.blocks)
        if self.family == "gpt_neo":
            kinds = [block.attn.attention_type for block in self.blocks]
            return [self.config.window_size if kind == "local" else 0 for kind in kinds]
        inner = [getattr(block, "self_attn", getattr(block, "attn", None)) for block in self.blocks]
        slides = [getattr(part, "is_sliding", True) for part in inner]  # else EXAONE 4 keeps the key
        found = [getattr(part, "sliding_window", None) or 0 for part in inner]
        return [window if is_it else 0 for window, is_it in zip(found, slides, strict=True)]

    def _table_of_rope(self, found: list[Mapping[str, Any]]) -> None:
        """The sines of position 1 in the table that GPT-J makes."""
        (rope,) = found
        table = self.blocks[0].attn.embed_positions
        sines = np.sin(rope["frequencies"])
        if len(table) > 1 and not table.is_meta:
            np.testing.assert_allclose(sines, table[1, : len(sines)].numpy(), rtol=1e-5)

    def ropes(self, found: list[Mapping[str, Any]]) -> None:
        """Holds ropes of config_facts against transformers' own functions."""
        if self.family in ("gptj", "codegen"):
            return self._table_of_rope(found)
        if self.family == "dinov3_vit":
            (rope,) = found
            made = type(self.encoder.rope_embeddings)(self.config)
            of_axis = 2 * np.pi * made.inv_freq.numpy()
            np.testing.assert_allclose(rope["frequencies"], np.tile(of_axis, 2), rtol=1e-5)
            return
        rotary = getattr(self.encoder, "rotary_emb", None)
        if rotary is None or getattr(self.config, "alibi", False):
            assert not found
            return
        has_kinds = "full_attention" in (self.config.rope_parameters or {})
        kinds = ["full_attention", "sliding_attention"] if has_kinds else [None]
        kinds = kinds[: len(found)]  # of Gemma 4 those that its layers have
        for kind, rope in zip(kinds, found, strict=True):
            if kind is not None and kind not in self.config.layer_types:
                continue
            options = {} if kind is None else {"layer_type": kind}
            parameters = self.config.rope_parameters
            rope_type = (parameters if kind is None else parameters[kind])["rope_type"]
            is_default = rope_type == "default"
            make = type(rotary).compute_default_rope_parameters if is_default else None
            make = make or ROPE_INIT_FUNCTIONS[rope_type]
            for name, length in (("frequencies", 1), ("frequencies_beyond", rope["beyond"])):
                theirs, factor = make(self._config_of(kind), device="cpu", seq_len=length, **options)
                np.testing.assert_allclose(rope[name], theirs.numpy(), rtol=1e-5, err_msg=name)
                np.testing.assert_allclose(rope["attention_factor"], factor, rtol=1e-6)

    def _config_of(self, kind: str | None) -> Any:
        """As the layers of a kind see it."""
        is_gemma4 = self.family.startswith("gemma4")
        return self.config.per_layer_config[kind] if is_gemma4 else self.config
