"""What transformers says of images: residual streams, one image at a time.

Layer 0 is the input of the first block, so that positions, registers and CLIP's first norm are in
it. Attention is eager. ViT-MAE neither drops nor shuffles patches here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import transformers

from .double_precision import in_precision_of, kept, prepare_for_double
from .vision_models.weights import blocks_of, encoder_of

WITHOUT_OPTION = (  # which always fit positions to the image, or never do
    "dinov2", "dinov2_with_registers", "dinov3_vit", "aimv2_vision_model",
    "internvl_vision",
)  # fmt: skip


class VisionOracle:
    """A checkpoint as transformers loads it, by the class that its config.json names."""

    def __init__(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        (name,) = json.loads((directory / "config.json").read_text())["architectures"]
        module, information = getattr(transformers, name).from_pretrained(
            directory, dtype=dtype, attn_implementation="eager", output_loading_info=True
        )
        missing = {key for key in information["missing_keys"] if not key.startswith("pooler.")}
        assert not missing, missing
        for key in ("unexpected_keys", "mismatched_keys"):
            assert not information[key], (key, information[key])
        self._dtype = dtype
        if dtype == torch.float64:
            prepare_for_double(module)
        self.whole = module.eval()
        self.encoder = encoder_of(module)
        self._config = self.encoder.config
        assert self._config._attn_implementation == "eager"
        if self._config.model_type == "vit_mae":
            self._config.mask_ratio = 0.0
        self.blocks = blocks_of(module)
        self._layers: list[torch.Tensor] = []
        self.blocks[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
        for block in self.blocks:
            block.register_forward_hook(self._keep_output)

    def _keep_input(self, _module: torch.nn.Module, inputs: tuple, named: dict) -> None:
        self._keep(inputs[0] if inputs else named["hidden_states"])

    def _keep_output(self, _module: torch.nn.Module, _inputs: object, output: object) -> None:
        self._keep(output[0] if isinstance(output, tuple) else output)

    def _keep(self, hidden: object) -> None:
        assert isinstance(hidden, torch.Tensor) and hidden.dim() == 3 and len(hidden) == 1
        self._layers.append(kept(hidden[0]))

    @torch.no_grad()
    def residual(self, image: np.ndarray) -> np.ndarray:
        """Pixels [3, height, width] -> [layers + 1, T, C], of a model in float64 in float64."""
        self._layers = []
        options: dict[str, object] = {}
        if self._config.model_type not in WITHOUT_OPTION:
            options["interpolate_pos_encoding"] = self._has_other_size(image.shape[1:])
        if self._config.model_type == "vit_mae":
            options["noise"] = torch.arange(self._count_patches(image.shape[1:]))[None].float()
        with in_precision_of(self._dtype):
            self.encoder(torch.from_numpy(image)[None].to(self._dtype), **options)
        assert len(self._layers) == self._config.num_hidden_layers + 1
        return torch.stack(self._layers).numpy()

    @torch.no_grad()
    def logits(self, image: np.ndarray, **inputs: torch.Tensor) -> np.ndarray:
        """Pixels [3, height, width] of the model's own size -> [classes] of a model with a classifier;
        of a whole CLIP beside texts' `input_ids` their logits."""
        self._layers = []
        with in_precision_of(self._dtype):
            pixels = torch.from_numpy(image)[None].to(self._dtype)
            said = self.whole(pixel_values=pixels, **inputs)
        return (said.logits_per_image if inputs else said.logits)[0].numpy()

    def _has_other_size(self, size: tuple[int, ...]) -> bool:
        return size != tuple(np.broadcast_to(self._config.image_size, 2))

    def _count_patches(self, size: tuple[int, ...]) -> int:
        rows, columns = np.broadcast_to(self._config.patch_size, 2)
        return int((size[0] // rows) * (size[1] // columns))
