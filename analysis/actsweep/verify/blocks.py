"""A checkpoint's model without its weights, and its blocks filled one at a time.

In: a checkpoint directory of safetensors. Out: transformers' model whose parameters are shapes alone (the
meta device), all that stands outside of its blocks loaded in float32, and each block when it is asked for.
Names and layouts are put right by transformers' own conversion. Refuses packed weights, a file that cannot be
read, and a block that the checkpoint does not have whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import memory
from .program import ProgramFailed

if TYPE_CHECKING:
    import torch

BAD_MODEL = 4
OUTSIDE = -1  # the place of what belongs to no block


@contextlib.contextmanager
def shapes_alone() -> Iterator[None]:
    """Parameters that are made here have no values; buffers have theirs."""
    import torch

    register = torch.nn.Module.register_parameter

    def register_shape(module: torch.nn.Module, name: str, value: torch.nn.Parameter | None) -> None:
        if value is not None and value.device.type != "meta":
            value = torch.nn.Parameter(value.to("meta"), requires_grad=False)
        register(module, name, value)

    torch.nn.Module.register_parameter = register_shape  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]


class BlockLoader:
    """Fills a model of shapes from its checkpoint, block by block."""

    def __init__(self, directory: Path, module: Any, blocks: Sequence[torch.nn.Module]) -> None:
        if getattr(module.config, "quantization_config", None) is not None:
            raise ProgramFailed(
                f"{directory}: its weights are packed, which are not read layer by layer", BAD_MODEL
            )
        self._directory, self._module, self._blocks = directory, module, blocks
        names = {part: name for name, part in module.named_modules()}
        self._begins = [f"{names[block]}." for block in blocks]
        self._files = _open_files(directory)
        self._keys: dict[int, list[str]] = {}
        for key in self._files:
            self._keys.setdefault(self._place_of(key), []).append(key)
        self.unexpected: set[str] = set()
        self.mismatched: set[str] = set()

    def load_outside(self) -> set[str]:
        """All that belongs to no block; the names of what the checkpoint does not have of it."""
        missing = self._load(OUTSIDE)
        self._module.tie_weights()
        owned = dict(self._module.named_parameters(remove_duplicate=False))
        return {
            name
            for name in missing
            if self._block_of(name) == OUTSIDE and (name not in owned or owned[name].is_meta)
        }

    def load(self, number: int) -> None:
        missing = self._load(number)
        if wrong := sorted(name for name in missing if name.startswith(self._begins[number])):
            raise ProgramFailed(
                f"{self._directory}: transformers would fill {wrong[0]} with random values", BAD_MODEL
            )

    def drop(self, number: int) -> None:
        import torch

        for part in self._blocks[number].modules():
            for name, value in part.named_parameters(recurse=False):
                part._parameters[name] = torch.nn.Parameter(value.to("meta"), requires_grad=False)
        memory.give_back()

    def bytes_of(self, number: int) -> int:
        """In float32, by the headers."""
        shapes = (self._files[key].get_slice(key).get_shape() for key in self._keys.get(number, []))
        count = 0
        for shape in shapes:
            size = 4
            for length in shape:
                size *= length
            count += size
        return count

    def _load(self, number: int) -> set[str]:
        import torch
        from transformers.core_model_loading import convert_and_load_state_dict_in_model
        from transformers.modeling_utils import LoadStateDictConfig

        state = {key: self._files[key].get_slice(key) for key in self._keys.get(number, [])}
        options = LoadStateDictConfig(dtype=torch.float32, weight_mapping=self._conversions())
        try:
            found, _ = convert_and_load_state_dict_in_model(self._module, state, options)
        except Exception as error:  # noqa: BLE001 (of any kind: the checkpoint is not ours)
            words = " ".join(str(error).split()) or type(error).__name__
            message = f"{self._directory}: transformers cannot load it: {words}"
            raise ProgramFailed(message, BAD_MODEL) from error
        self.unexpected |= found.unexpected_keys
        self.mismatched |= {str(key) for key in found.mismatched_keys}
        return set(found.missing_keys)

    def _conversions(self) -> Any:
        """Fresh ones: they keep what they have collected."""
        from transformers.conversion_mapping import get_model_conversion_mapping

        return get_model_conversion_mapping(self._module, None, None)

    def _place_of(self, key: str) -> int:
        """The number of the block that a tensor of the checkpoint goes into."""
        from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

        conversions, known = self._conversions() or [], self._module.state_dict()
        renamings = [one for one in conversions if isinstance(one, WeightRenaming)]
        converters = [one for one in conversions if isinstance(one, WeightConverter)]
        prefix = self._module.base_model_prefix
        name, _ = rename_source_key(key, renamings, converters, prefix, known)
        if name not in known:
            name, _ = rename_source_key(key, [], [], prefix, known)
        return self._block_of(name)

    def _block_of(self, name: str) -> int:
        places = [n for n, begin in enumerate(self._begins) if name.startswith(begin)]
        return places[0] if places else OUTSIDE


def _open_files(directory: Path) -> dict[str, Any]:
    """The open file of each tensor."""
    from safetensors import SafetensorError, safe_open

    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        try:
            file = safe_open(path, "pt")
        except (OSError, SafetensorError) as error:
            raise ProgramFailed(f"{path}: cannot be read: {error}", BAD_MODEL) from error
        found |= dict.fromkeys(file.keys(), file)
    if not found:
        raise ProgramFailed(f"{directory}: expected *.safetensors, found none", BAD_MODEL)
    return found
