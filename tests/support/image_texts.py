"""Texts with images: a random model of several parts, a token file with pixels, and what transformers
makes of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import transformers

from .image_files import random_images
from .random_models.weights import blocks_of
from .token_files import Corpus, random_corpus, write_token_file
from .vision_models import TOWERS, VisionModel, make_random, save
from .vision_models.towers import clip, internvit, siglip, tower

IMAGE_ID = 7
LENGTH = 230  # of the longest document
SHRUNK = {"mm_tokens_per_image": 9}


@dataclass(frozen=True)
class ImageTextModel:
    model: VisionModel
    tokens_per_image: int

    @property
    def name(self) -> str:
        return self.model.name


def of_tower(name: str, tokens: int, **keys: Any) -> ImageTextModel:
    """A model of the towers' list, whose vocabulary has the token that stands for an image."""
    model = next(each for each in TOWERS if each.name == name)
    return with_image_token(model, tokens, **keys)


def with_image_token(model: VisionModel, tokens: int, **keys: Any) -> ImageTextModel:
    key = "image_token_id" if model.family == "internvl" else "image_token_index"
    config = {**model.config, **keys, key: IMAGE_ID}
    if model.family == "internvl":
        del config["image_token_index"]
    return ImageTextModel(dataclasses.replace(model, config=config), tokens)


MODELS = (
    of_tower("llava-clip-5heads-published", 81),
    with_image_token(
        tower("llava-siglip-3heads-full-behind-1", "qwen2", siglip(63, 3, 3, 131, 6, image_size=36),
              module="Llava"),
        36, vision_feature_layer=1, vision_feature_select_strategy="full",
        multimodal_projector_bias=False, projector_hidden_act="relu",
    ),
    with_image_token(
        tower("llava-clip-7heads-last-with-class-bfloat16", "mistral",
              clip(77, 3, 7, 149, 5, image_size=35), module="Llava", dtype="bfloat16"),
        50, vision_feature_layer=-1, vision_feature_select_strategy="full",
    ),
    of_tower("gemma3-siglip-5heads-published", 9),
    of_tower("internvl-3heads-final-norm-masked-bfloat16", 9),
    with_image_token(
        tower("internvl-7heads-root-8x8of6x6", "llama",
              internvit(77, 3, 7, 149, image=36, patch=6, norm_type="rms_norm", use_qk_norm=True),
              image=(48, 48), module="InternVL"),
        16, vision_feature_layer=-2,
    ),
)  # fmt: skip


def image_documents(model: ImageTextModel, vocabulary: int) -> tuple[list[np.ndarray], list[list[int]]]:
    """Texts of several lengths with none to three images in them, and where each image begins."""
    generator = np.random.default_rng(len(model.name))
    texts = random_corpus(vocabulary, [40, 23, 1, 33, 12, 30, 7], seed=3).documents
    run = np.full(model.tokens_per_image, IMAGE_ID, np.uint32)
    documents, places = [], []
    for number, text in enumerate(texts):
        ids, begins = np.where(text == IMAGE_ID, 8, text).astype(np.uint32), []
        images = min(number % 3, (LENGTH - len(ids)) // len(run)) if len(text) > 1 else 0
        for place in sorted(generator.choice(np.arange(0, len(ids), 2), images, replace=False)):
            begin = int(place) + len(run) * len(begins)
            ids = np.concatenate([ids[:begin], run, ids[begin:]])
            begins.append(begin)
        documents.append(ids)
        places.append(begins)
    return documents, places


def write_image_texts(
    path: Path, model: ImageTextModel, vocabulary: int, pixels: np.ndarray
) -> tuple[Corpus, list[list[int]]]:
    """The token file, with as many of the images as its documents have."""
    documents, places = image_documents(model, vocabulary)
    classes = np.random.default_rng(0).integers(1, 4, vocabulary).astype(np.uint8)
    corpus = Corpus(vocabulary, documents, classes)
    write_token_file(path, corpus, {"text": np.arange(10, 30, dtype=np.uint32)})
    begins = np.cumsum([0, *map(len, documents)])
    first = [begins[number] + place for number, each in enumerate(places) for place in each]
    with h5py.File(path, "a", alignment_threshold=1, alignment_interval=8) as file:
        file["images/first_token"] = np.array(first, np.int64)
        file["images/tokens"] = np.full(len(first), model.tokens_per_image, np.int64)
        file["images/pixels"] = pixels[: len(first)]
    return corpus, places


@dataclass(frozen=True)
class ExpectedImageTexts:
    directory: Path
    corpus: Path
    streams: list[np.ndarray]  # of each document of more than one token [layers + 1, T, C]
    channels: int

    def job(self, m: int, output: Path, weights: str = "resident", **statistics: Any) -> dict[str, Any]:
        return {
            "model": {"path": str(self.directory)},
            "corpus": {"path": str(self.corpus), "windows": "per_document", "sequence_length": LENGTH},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 4 * LENGTH, "weights": weights},
            "statistics": {"top_k": self.channels, **statistics},
            "output": {"path": str(output), "per_token": "all"},
        }


class Reference:
    """The model with its images, as transformers loads it."""

    def __init__(self, directory: Path) -> None:
        (name,) = json.loads((directory / "config.json").read_text())["architectures"]
        loader = getattr(transformers, name)
        self.module, said = loader.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            assert not said[key], (key, said[key])
        self.module.eval()
        self._layers: list[torch.Tensor] = []
        blocks = blocks_of(self.module)
        blocks[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
        for block in blocks:
            block.register_forward_hook(self._keep_output)

    def _keep_input(self, _module: torch.nn.Module, inputs: tuple, named: dict) -> None:
        self._layers.append(inputs[0] if inputs else named["hidden_states"])

    def _keep_output(self, _module: torch.nn.Module, _inputs: object, output: Any) -> None:
        self._layers.append(output[0] if isinstance(output, tuple) else output)

    @torch.no_grad()
    def stream(self, ids: np.ndarray, images: Sequence[np.ndarray]) -> np.ndarray:
        """[layers + 1, T, C] of a document."""
        self._layers = []
        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        options: dict[str, Any] = {}
        if len(images):
            options["pixel_values"] = torch.from_numpy(np.stack(images))
        if self.module.config.model_type == "gemma3":
            options["token_type_ids"] = (tokens == IMAGE_ID).long()
        self.module.base_model(input_ids=tokens, use_cache=False, **options)
        return torch.stack([layer.reshape(layer.shape[-2:]) for layer in self._layers]).numpy()


def make_expected(model: ImageTextModel, folder: Path) -> ExpectedImageTexts:
    torch.set_num_threads(1)
    folder.mkdir()
    directory = save(make_random(model.model), model.model, folder / "model")
    config = json.loads((directory / "config.json").read_text())
    vocabulary = config["text_config"]["vocab_size"]
    pixels = random_images(12, *model.model.image, seed=5)
    path = folder / "corpus.h5"
    corpus, places = write_image_texts(path, model, vocabulary, pixels)
    reference, streams, used = Reference(directory), [], 0
    for ids, begins in zip(corpus.documents, places, strict=True):
        images = pixels[used : used + len(begins)]
        used += len(begins)
        if len(ids) > 1:
            streams.append(reference.stream(ids, images))
    return ExpectedImageTexts(directory, path, streams, streams[0].shape[2])


def streams_of(datasets: dict[str, np.ndarray], lengths: Sequence[int], channels: int) -> list[np.ndarray]:
    """The streams of windows, of which a sweep keeps all channels as each token's largest ones."""
    values, places = (datasets[f"residual/token_top_{name}"] for name in ("value", "channel"))
    whole = np.zeros((*values.shape[:2], channels), np.float32)
    np.put_along_axis(whole, places.astype(np.int64), values, axis=2)
    return np.split(whole, np.cumsum(lengths)[:-1], axis=1)
