"""A checkpoint as transformers loads it: residual streams and losses of one window at a time.

In: a checkpoint directory, and ids or pixels. Out: the input of the first block and the output of
each, before the final norm. Attention is eager, but for Falcon's ALiBi, which eager attention adds
twice. Refuses what transformers cannot load, what it would fill with random weights, and what memory
cannot hold.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from .program import ProgramFailed
from .records import Inside
from .routers import is_router, margins

if TYPE_CHECKING:
    import torch

    from .key_sets import KeySets

BAD_MODEL = 4
NEAR_TIE = 1e-5  # of what a router chooses by: rounding may choose either expert
DOUBLE_PARAMETERS = 1_000_000_000  # of larger models the own error is not measured
BLOCK_LISTS = ("layers", "h", "blocks", "layer")
# Keys of config.json for what transformers' GPT-2 does not have (data/README.md).
UNKNOWN_SWITCHES = ("sink_token", "attention_bias_kv")
IMAGE_PARTS, TEXT_PARTS = ("vision", "visual", "image"), ("text_model", "language_model")


@dataclass
class Trace:
    """What hooks keep of one window."""

    layers: list[torch.Tensor] = field(default_factory=list)
    margins: list[tuple[int, np.ndarray]] = field(default_factory=list)
    inside: Inside = field(default_factory=Inside)


@dataclass
class Pass:
    """One window through the blocks."""

    stream: np.ndarray  # [L + 1, T, C], float64 of a pass in float64
    is_sure: np.ndarray  # bool [L + 1, T]: False from where a near tie of a router reaches
    nll: np.ndarray | None = None  # float64 [T - 1]
    inside: Inside = field(default_factory=Inside)  # empty unless it was watched


def load(directory: Path, *, is_text: bool, tokens: int, is_layered: bool) -> Reference:
    """Layer by layer if that is asked for, or if memory does not hold the model."""
    _check(directory)
    work = memory.work_bytes(_half(_config(directory), is_text), tokens)
    if is_layered or not memory.fits(directory, work):
        from .layered import LayeredReference

        return LayeredReference(directory, is_text=is_text, tokens=tokens)
    return Reference(directory, is_text=is_text, tokens=tokens)


class Reference:
    """transformers' model; `notes` say what it did not load."""

    # What is said where `in_double` does not.
    without_double = "transformers' own error not measured: float64 would take too much memory"

    def __init__(self, directory: Path, *, is_text: bool, tokens: int = 0) -> None:
        """`tokens`: of the longest window."""
        _check(directory)
        self._is_text = is_text
        config = _config(directory)
        self._work_bytes = memory.work_bytes(_half(config, is_text), tokens)
        self.module, information = self._load(directory, config, tokens)
        self.name = f"{type(self.module).__name__}, {self.module.config._attn_implementation} attention"
        self.parameters = sum(weight.numel() for weight in self.module.parameters())
        self._config = _half(self.module.config, is_text)
        self._blocks = passed_blocks(self.module, is_text)
        self.has_head = self._check_loaded(directory, information)
        left_out = sorted(information["unexpected_keys"])
        self.notes = [f"transformers leaves out {_first(left_out)}"] if left_out else []
        self._rotary = {
            name: copy.deepcopy(part)
            for name, part in self.module.named_modules()
            if type(part).__name__.endswith("RotaryEmbedding")
        }
        self._trace = Trace()
        self._looking: Callable[[], AbstractContextManager[None]] = nullcontext
        self._hook()

    def _load(self, directory: Path, config: Any, tokens: int) -> tuple[Any, dict[str, Any]]:
        """The model in float32, and what of the checkpoint was not loaded."""
        return _load(directory, config, self._is_text)

    def _check_loaded(self, directory: Path, information: dict[str, Any]) -> bool:
        """Whether the checkpoint has the head; refuses other weights that would be random."""
        head = self.module.get_output_embeddings() if self._is_text else None
        owned = {name for name, part in self.module.named_modules() if head and part is head}
        missing = {key for key in information["missing_keys"] if self._is_used(key)}
        of_head = {key for key in missing if key.rpartition(".")[0] in owned}
        wrong = sorted(missing - of_head) + sorted(map(str, information["mismatched_keys"]))
        if wrong:
            raise ProgramFailed(
                f"{directory}: transformers would fill {_first(wrong)} with random values", BAD_MODEL
            )
        return head is not None and not of_head

    def _is_used(self, key: str) -> bool:
        """Whether the residual stream passes through a weight: not those of poolers, and of a whole
        CLIP those of the vision half alone."""
        has_half = not self._is_text and hasattr(self.module, "vision_model")
        is_in_half = key.startswith("vision_model.") or not has_half
        return is_in_half and "pooler" not in key.split(".")

    def _hook(self) -> None:
        self._blocks[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
        for layer, block in enumerate(self._blocks):
            block.register_forward_hook(self._keep_output)
            for part in block.modules():
                if is_router(part):
                    part.register_forward_hook(self._keeper_of_routing(layer))

    def _keep_input(self, _module: object, inputs: tuple, named: dict) -> None:
        self._trace.layers.append((inputs[0] if inputs else named["hidden_states"])[0].clone())

    def _keep_output(self, _module: object, _inputs: object, output: Any) -> None:
        self._trace.layers.append((output[0] if isinstance(output, tuple) else output)[0].clone())

    def _keeper_of_routing(self, layer: int) -> Any:
        def keep(router: torch.nn.Module, inputs: tuple, output: tuple) -> None:
            margin = margins(router, inputs, output[0].float(), output[2].shape[-1])
            self._trace.margins.append((layer, margin))

        return keep

    def run_all(self, windows: Sequence[np.ndarray]) -> list[Pass]:
        """Ids [T] of each window, or pixels [3, height, width] of each image."""
        passes = []
        with self._looking():
            for number, inputs in enumerate(windows):
                self._trace = Trace(inside=Inside(window=number))
                nll = self._forward(inputs)
                passes.append(self._finish(self._trace, nll))
        return passes

    def _forward(self, inputs: np.ndarray) -> np.ndarray | None:
        """A window through the model; its losses."""
        import torch

        # Dynamic and longrope positions keep state from call to call.
        for name, part in self._rotary.items():
            self.module.set_submodule(name, copy.deepcopy(part).to(self._dtype()))
        with torch.no_grad():
            return self._run_text(inputs) if self._is_text else self._run_image(inputs)

    def _finish(self, trace: Trace, nll: np.ndarray | None) -> Pass:
        import torch

        layers = torch.stack(trace.layers).numpy()
        if len(layers) != len(self._blocks) + 1:
            raise ProgramFailed(
                f"{type(self.module).__name__}: expected {len(self._blocks)} blocks to be"
                f" passed, found {len(layers) - 1}",
                BAD_MODEL,
            )
        return Pass(layers, _sure(trace, layers.shape[:2]), nll, trace.inside)

    def watch(self, readers: Mapping[str, str], sets: KeySets) -> None:
        """Keeps what statistics need from inside of blocks. `readers`: by site the name of a linear layer
        that reads it, with {} for the block's number; `sets`: those of keys that attention is measured
        to."""
        from .inside import InsideHooks

        modules = dict(self.module.named_modules())
        linear = {
            site: [modules.get(name.format(number)) for number in range(len(self._blocks))]
            for site, name in readers.items()
        }
        hooks = InsideHooks(self._blocks, linear, sets, lambda: self._trace.inside)
        self._looking = hooks.attention

    def _run_text(self, ids: np.ndarray) -> np.ndarray | None:
        import torch

        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        if not self.has_head:
            self.module.base_model(tokens, use_cache=False)
            return None
        logits = self.module(tokens, use_cache=False).logits[0, :-1].double()
        return torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none").numpy()

    def _run_image(self, pixels: np.ndarray) -> None:
        import torch

        tower = getattr(self.module, "vision_tower", self.module)
        encoder = getattr(tower, "vision_model", tower)
        options: dict[str, Any] = {}
        # Those without the argument interpolate positions always.
        if "interpolate_pos_encoding" in inspect.signature(encoder.forward).parameters:
            made_for = tuple(np.broadcast_to(self._config.image_size, 2))
            options["interpolate_pos_encoding"] = pixels.shape[1:] != made_for
        if self._config.model_type == "vit_mae":  # neither drops nor shuffles patches here
            self._config.mask_ratio = 0.0
            rows, columns = np.broadcast_to(self._config.patch_size, 2)
            count = int(pixels.shape[1] // rows) * int(pixels.shape[2] // columns)
            options["noise"] = torch.arange(count)[None].float()
        encoder(torch.from_numpy(pixels)[None].to(self._dtype()), **options)

    def _dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    def in_double(self) -> bool:
        """Turns the model to float64, if it is small; whether it did."""
        import torch

        wanted = 8 * self.parameters + 2 * self._work_bytes
        if self.parameters > DOUBLE_PARAMETERS or wanted > memory.available_bytes():
            return False
        self.module.to(torch.float64)
        return True


def _sure(trace: Trace, shape: tuple[int, ...]) -> np.ndarray:
    """Tokens whose experts are told apart: a near tie changes its token in the layer's output, and by
    attention all later ones in the layers above."""
    sure = np.ones(shape, bool)
    for layer, margin in trace.margins:
        ties = np.flatnonzero(margin < NEAR_TIE)
        sure[layer + 1 :, ties] = False
        if len(ties):
            sure[layer + 2 :, ties[0] :] = False
    return sure


def _check(directory: Path) -> None:
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProgramFailed(f"{path}: cannot be read: {error.strerror}", BAD_MODEL) from error
    except (ValueError, RecursionError) as error:
        raise ProgramFailed(f"{path}: is not JSON: {error}", BAD_MODEL) from error
    if not isinstance(config, dict):
        raise ProgramFailed(f"{path}: expected a JSON object, found another value", BAD_MODEL)
    for switch in UNKNOWN_SWITCHES:
        if config.get(switch):
            raise ProgramFailed(
                f"{path}: {switch} = true: transformers has no such GPT-2 to compare with", BAD_MODEL
            )


def _config(directory: Path) -> Any:
    """As transformers reads it."""
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # noqa: BLE001 (of any kind: the checkpoint is not ours)
        raise unloadable(directory, error) from error


def _load(directory: Path, config: Any, is_text: bool) -> tuple[Any, dict[str, Any]]:
    try:
        return class_of(config, is_text).from_pretrained(
            directory,
            config=config,
            output_loading_info=True,
            local_files_only=True,
            **implementations(config),
        )
    except Exception as error:  # noqa: BLE001 (of any kind: the checkpoint is not ours)
        raise unloadable(directory, error) from error


def implementations(config: Any) -> dict[str, Any]:
    """float32 by the plainest code that transformers has."""
    import torch

    is_alibi = config.model_type == "falcon" and config.alibi
    return {
        "dtype": torch.float32,
        "attn_implementation": "sdpa" if is_alibi else "eager",
        "experts_implementation": "eager",  # others ask for widths that suit a kernel
    }


def unloadable(directory: Path, error: Exception) -> ProgramFailed:
    words = " ".join(str(error).split()) or "nothing"
    kind = type(error).__name__
    return ProgramFailed(f"{directory}: transformers cannot load it: {kind}: {words}", BAD_MODEL)


def class_of(config: Any, is_text: bool) -> Any:
    import transformers

    if not is_text:
        return transformers.AutoModel
    for mapping, loader in (
        (transformers.MODEL_FOR_CAUSAL_LM_MAPPING, transformers.AutoModelForCausalLM),
        (transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, transformers.AutoModelForImageTextToText),
    ):
        if type(config) in mapping:
            return loader
    return transformers.AutoModel


def _half(config: Any, is_text: bool) -> Any:
    """The keys of the half that is swept."""
    return config.get_text_config() if is_text else getattr(config, "vision_config", config)


def passed_blocks(module: Any, is_text: bool) -> list[Any]:
    """The blocks that a window passes: those that attend to images are not passed by text."""
    blocks = _blocks(module, _half(module.config, is_text).num_hidden_layers, is_text)
    return [block for block in blocks if not hasattr(block, "cross_attn")]


def _blocks(module: Any, layers: int, is_text: bool) -> Any:
    """The list of the blocks that are swept."""
    found = [part for name, part in _lists(module, is_text) if len(part) == layers]
    if not found:
        kind = type(module).__name__
        raise ProgramFailed(f"{kind}: found no list of its {layers} blocks", BAD_MODEL)
    return found[0]


def _lists(module: Any, is_text: bool) -> Iterator[tuple[str, Any]]:
    import torch

    others = IMAGE_PARTS if is_text else TEXT_PARTS
    for name, part in module.named_modules():
        is_blocks = isinstance(part, torch.nn.ModuleList) and name.split(".")[-1] in BLOCK_LISTS
        if is_blocks and not any(other in name for other in others):
            yield name, part


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"
