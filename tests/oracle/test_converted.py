"""Prepared inputs swept: a GGUF file whose rotary positions are scaled, and images for a SigLIP whose
patches do not divide them.

The models of transformers that the files were made of say what is right, m = 1 and 2.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

from support.bounds import assert_rounds_as_transformers, channel_scale, largest_error
from support.compatibility import Compatibility
from support.gguf_files import Changes, gemma3, llama, write_gguf
from support.sweeps import Sweep, read_datasets
from support.token_files import random_corpus, write_token_file
from support.transformers_oracle import BothPrecisions, Oracle
from support.vision_models import MODELS, make_random, save
from support.vision_oracle import VisionOracle

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 6
SCALED = {
    "llama": (llama, 4.0),
    "gemma3": (gemma3, 8.0),
}


def prepare(program: str, *arguments: object) -> None:
    command = [sys.executable, str(ROOT / "data" / program), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("name", SCALED)
def test_scaled_gguf_file_is_swept_as_its_model(
    name: str, m: int, program: Path, tmp_path: Path
) -> None:
    make, factor = SCALED[name]
    model = make(rope_scaling={"rope_type": "linear", "factor": factor})
    changes: Changes = {
        f"{name}.rope.scaling.type": "linear",
        f"{name}.rope.scaling.factor": factor,
    }
    prepare(
        "prepare_model.py", "gguf", write_gguf(tmp_path / "m.gguf", model, changes), tmp_path / "m"
    )
    model.save_pretrained(tmp_path / "source")
    corpus = random_corpus(VOCABULARY, [60, 40])
    prompt = corpus.documents[0][:30]
    path = write_token_file(tmp_path / "corpus.h5", corpus, {"p": prompt})
    job = {
        "model": {"path": str(tmp_path / "m")},
        "corpus": {"path": str(path), "sequence_length": 20},
        "parallel": {"tensor": m, "threads": 1},
        "capture": {"prompts": ["p"]},
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    found = read_datasets(Sweep(program, job, m).run())["capture/p/residual"]
    expected = BothPrecisions(tmp_path / "source").streams([prompt])
    assert_rounds_as_transformers(name, [found], expected.single, expected.exact)
    plain = make()
    plain.save_pretrained(tmp_path / "plain")
    other = Oracle(tmp_path / "plain").residual(prompt)
    scale = channel_scale(expected.exact)
    assert largest_error([other], expected.exact, scale).max() > 0.01  # the factor matters


@pytest.mark.parametrize("m", [1, 2])
def test_images_for_a_siglip_of_odd_sides_are_swept_as_by_transformers(
    m: int, program: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    model = next(each for each in MODELS if each.name.startswith("siglip_vision_model-7heads-cut"))
    directory = save(make_random(model), model, tmp_path / "model")
    height, width = model.image
    settings = {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": height, "width": width},
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    paths = [tmp_path / "wide.png", tmp_path / "tall.jpg"]
    blots = np.random.default_rng(8).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    Image.fromarray(blots).resize((180, 140)).save(paths[0])
    Image.fromarray(blots).resize((61, 93)).save(paths[1])
    prepare(
        "prepare_images.py", "--model", directory, "--output", tmp_path / "images.h5", *paths
    )
    job = {
        "model": {"path": str(directory)},
        "corpus": {"path": str(tmp_path / "images.h5")},
        "parallel": {"tensor": m, "threads": 1},
        "capture": {"prompts": ["0", "1"]},
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    datasets = read_datasets(Sweep(program, job, m).run())
    processor = AutoImageProcessor.from_pretrained(directory, backend="pil")
    images = [
        processor(load_image(str(path)), return_tensors="np")["pixel_values"][0] for path in paths
    ]
    expected, single = (
        [oracle.residual(pixels) for pixels in images]
        for oracle in (VisionOracle(directory, torch.float64), VisionOracle(directory))
    )
    assert expected[0].shape[1] == (height // 4) * (width // 4) and height % 4 == 3
    found = [datasets[f"capture/{name}/residual"] for name in ("0", "1")]
    assert_rounds_as_transformers(f"m = {m}", found, single, expected)
    compatibility("Images", "images prepared for a SigLIP whose patches do not divide its sides", "read")
