"""What a random Vision Transformer is: a configuration, a size of images, how it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SMALL_CLASS = 3e-4  # deviation of a class token so small that the epsilon of the first norm decides


@dataclass(frozen=True)
class VisionModel:
    """A configuration, and how its checkpoint is stored."""

    name: str
    family: str  # model_type
    module: str  # class of transformers that is saved, with heads, decoders, a text half or bare
    config: Mapping[str, Any]
    image: tuple[int, int]  # height and width of the corpus' images, in pixels
    class_tokens: int = 1
    registers: int = 0
    dtype: str = "float32"  # of the stored weights
    shard: str = "50GB"  # largest file
    is_published: bool = False  # with older names and buffers, without keys at their defaults
    has_small_class: bool = False
    seed: int = 0
    names: Mapping[str, str] = field(default_factory=dict, hash=False)  # other beginnings of tensors' names

    @property
    def is_tower(self) -> bool:
        """Whether it is a part of a model of several."""
        return self.module.endswith("ForConditionalGeneration")

    @property
    def vision(self) -> Mapping[str, Any]:
        """The keys of the vision half."""
        return self.config.get("vision_config", self.config)

    @property
    def heads(self) -> int:
        return self.vision["num_attention_heads"]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of whole patches in an image."""
        rows, columns = pair(self.vision["patch_size"])
        is_cut = self.image[0] % rows != 0 or self.image[1] % columns != 0
        assert is_cut == ("+" in self.name), self.name
        return self.image[0] // rows, self.image[1] // columns

    @property
    def is_interpolated(self) -> bool:
        """Whether the images have another size than the one that the positions were made for."""
        return tuple(self.image) != pair(self.vision["image_size"])

    @property
    def tokens(self) -> int:
        return self.class_tokens + self.registers + self.grid[0] * self.grid[1]


def pair(sides: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    """Height and width, of which config.json may give one for both."""
    return (sides, sides) if isinstance(sides, int) else (sides[0], sides[1])


def sizes(
    channels: int, layers: int, heads: int, ffn: int, patch: int | list[int], **more: Any
) -> dict[str, Any]:
    """Keys of config.json."""
    return {
        "hidden_size": channels,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "patch_size": patch,
        **more,
    }


def dino_sizes(
    channels: int, layers: int, heads: int, ratio: int, patch: int, **more: Any
) -> dict[str, Any]:
    """The same in the words of DINOv2."""
    keys = sizes(channels, layers, heads, 0, patch, **more) | {"mlp_ratio": ratio}
    return {name: value for name, value in keys.items() if name != "intermediate_size"}
