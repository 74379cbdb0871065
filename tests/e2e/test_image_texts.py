"""Texts with images: what the sweep file says of them, and what is refused; the streams are compared in
oracle/test_images_in_text.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from running import make_job, make_model, refuse, run_well, said, write_job

from support.compatibility import Compatibility
from support.image_files import random_images
from support.image_texts import IMAGE_ID, LENGTH, MODELS, ImageTextModel, of_tower, write_image_texts
from support.vision_models import make_random, save

KIND = "Corpora"
CORPUS_ERROR, MODEL_ERROR, JOB_ERROR = 3, 4, 2
VOCABULARY = 131
LLAVA = MODELS[0]
GEMMA3 = next(each for each in MODELS if each.model.family == "gemma3")


def job_of(folder: Path, each: ImageTextModel, model: Path | None = None) -> Path:
    """A job over texts with images for the model, or for another that is given."""
    if model is None:
        model = save(make_random(each.model), each.model, folder / "model")
    corpus = folder / "corpus.h5"
    write_image_texts(corpus, each, VOCABULARY, random_images(12, *each.model.image))
    job = make_job(model, corpus, folder / "sweep.h5")
    job["corpus"] = {"path": str(corpus), "windows": "per_document", "sequence_length": LENGTH}
    job["parallel"] = {"tensor": 1, "threads": 1, "microbatch_tokens": 4 * LENGTH}
    job["capture"] = {"prompts": ["text"]}
    return write_job(folder / "job.toml", job)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    return save(make_random(LLAVA.model), LLAVA.model, folder / "model")


def test_the_file_says_what_stands_for_images_and_covers_the_tower(
    llava: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    log = run_well(job_of(tmp_path, LLAVA, llava), 2)
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file.attrs["image_token_id"] == IMAGE_ID
        identity = json.loads(file.attrs["identity"])
        assert identity["model.tower_fingerprint"] == file.attrs["tower_fingerprint"]
        assert file.attrs["tower_fingerprint"] != file.attrs["model_fingerprint"]
        assert identity["corpus.image_size"] == "36 x 36"
    assert "3 layers" not in log and "2 layers" in log  # of the language model
    compatibility(KIND, "texts with images, for a LLaVA, Gemma 3 or InternVL", "read")


def shorten_images(file: h5py.File) -> None:
    """Each loses the last of its tokens."""
    for first, tokens in zip(file["images/first_token"], file["images/tokens"], strict=True):
        file["ids"][first + tokens - 1] = 8
    file["images/tokens"][...] = file["images/tokens"][()] - 1


def move_first_image(file: h5py.File) -> None:
    file["images/first_token"][0] += 1


def overlap_images(file: h5py.File) -> None:
    file["images/first_token"][1] = file["images/first_token"][0] + 1


def lose_an_image(file: h5py.File) -> None:
    for name in ("first_token", "tokens"):
        values = file[f"images/{name}"][()]
        del file[f"images/{name}"]
        file[f"images/{name}"] = values[1:]


def halve_sides(file: h5py.File) -> None:
    pixels = file["images/pixels"][()]
    del file["images/pixels"]
    file["images/pixels"] = pixels[..., :16, :16]


CHANGES = (
    (shorten_images, "the model makes 81 tokens of an image of 36 x 36 pixels, found 80",
     "images of another number of tokens than the model makes of them"),
    (move_first_image, f"expected the id {IMAGE_ID} for the tokens of images and for no other",
     "images whose tokens are not those that stand for images"),
    (overlap_images, "images/first_token: expected image 1 behind token", "images whose tokens overlap"),
    (lose_an_image, "images/first_token: expected one for each of", "more images than places of them"),
    (halve_sides, "expected images of 9 x 9 patches of 4 pixels", "images in text of another size than"
     " the tower's"),
)  # fmt: skip


@pytest.mark.parametrize(("change", "words", "what"), CHANGES, ids=[case[0].__name__ for case in CHANGES])
def test_images_that_do_not_fit_are_refused(
    change: Callable[[h5py.File], None], words: str, what: str,
    llava: Path, tmp_path: Path, compatibility: Compatibility,
) -> None:  # fmt: skip
    job = job_of(tmp_path, LLAVA, llava)
    with h5py.File(tmp_path / "corpus.h5", "a") as file:
        change(file)
    compatibility(KIND, what, "refused", said(refuse(job, CORPUS_ERROR, words)))


def test_windows_that_cut_an_image_are_refused(
    llava: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = job_of(tmp_path, LLAVA, llava)
    sets = ["corpus.sequence_length=64", "parallel.microbatch_tokens=256"]
    log = refuse(job, CORPUS_ERROR, "stand for an image, which a window of 64 tokens cuts", sets=sets)
    compatibility(KIND, "windows that cut an image in text", "refused", said(log))


def test_images_for_a_model_of_text_alone_are_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    model = make_model(tmp_path / "llama", vocab_size=VOCABULARY)
    log = refuse(job_of(tmp_path, LLAVA, model), CORPUS_ERROR, "reads text alone: expected none")
    compatibility(KIND, "texts with images, for a model of text alone", "refused", said(log))


def test_model_whose_way_from_images_to_text_is_not_known_is_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    each = of_tower("llava_next-clip-3heads-bfloat16", 81)
    words = "for images in the midst of text one of: llava, gemma3, internvl"
    log = refuse(job_of(tmp_path, each), MODEL_ERROR, words)
    compatibility(KIND, "texts with images, for a LLaVA-NeXT", "refused", said(log))


def test_attention_of_images_that_are_seen_whole_is_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    job = job_of(tmp_path, GEMMA3)
    words = "the tokens of an image see each other"
    log = refuse(job, JOB_ERROR, words, sets=['statistics.attention=["position:0"]'])
    compatibility(KIND, "statistics of attention over images that see themselves whole (Gemma 3)",
                  "refused", said(log))  # fmt: skip
