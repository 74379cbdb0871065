"""prepare_image_texts.py: ids and pixels are those of transformers' processor, and a record that it cannot
make a document of is refused with its line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import small_tokenizers
from PIL import Image
from preparing import assert_refused, run, run_well
from tokenizers import AddedToken
from transformers import AutoProcessor, LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from support.compatibility import Compatibility

KIND = "Corpora"
PROGRAM = "prepare_image_texts.py"
CORPUS, MODEL = 3, 4
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
    "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}{% endfor %}"
)
PER_IMAGE = 9  # patches of 4 pixels in 12 × 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA's processor; no weights."""
    folder = tmp_path_factory.mktemp("llava")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=small_tokenizers.byte_level(), bos_token="<s>", eos_token="</s>"
    )
    tokenizer.add_tokens([AddedToken("<image>", special=True)], special_tokens=True)
    images = CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size={"height": 12, "width": 12})
    LlavaProcessor(
        images, tokenizer, patch_size=4, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    config = {"model_type": "llava", "image_token_index": image_id}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, size in (("a.png", (20, 31)), ("b.png", (40, 17))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(folder / name)
    return folder


def write_records(folder: Path, *records: Any) -> Path:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


RECORDS = (
    {"text": "One <image> and <image> too.", "images": ["a.png", "b.png"]},
    {"text": "No picture at all."},
    {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Why?"}]}],
     "images": ["b.png"]},
)  # fmt: skip


def test_ids_and_pixels_are_those_of_the_processor(
    model: Path, photos: Path, compatibility: Compatibility
) -> None:
    output = photos / "corpus.h5"
    said = run_well(PROGRAM, "--model", model, "--output", output, write_records(photos, *RECORDS))
    assert "3 document(s)" in said and "3 image(s)" in said
    processor = AutoProcessor.from_pretrained(model)
    a, b = (Image.open(photos / name) for name in ("a.png", "b.png"))
    texts = [RECORDS[0]["text"], RECORDS[1]["text"], "user: <image>Why?"]
    ids, pixels, first, begin = [], [], [], 0
    for text, images in zip(texts, ([a, b], None, [b]), strict=True):
        made = processor(text=text, images=images, add_special_tokens=False, return_tensors="np")
        ids.append(np.asarray(made["input_ids"][0]))
        if images is not None:
            pixels.append(np.asarray(made["pixel_values"]))
        is_image = ids[-1] == processor.image_token_id
        starts = np.flatnonzero(is_image & ~np.concatenate([[False], is_image[:-1]]))
        first += [begin + start for start in starts]
        begin += len(ids[-1])
    with h5py.File(output) as file:
        assert file["ids"][()].tolist() == np.concatenate(ids).tolist()
        assert file["document_offset"][()].tolist() == np.cumsum([0, *map(len, ids)]).tolist()
        assert np.array_equal(file["images/pixels"][()], np.concatenate(pixels))
        assert file["images/first_token"][()].tolist() == first
        assert file["images/tokens"][()].tolist() == [PER_IMAGE] * 3
        assert file["images/pixels"].id.get_offset() % 4 == 0
    compatibility(KIND, "JSON lines of texts or chats with images, for prepare_image_texts.py", "read")


REFUSED = (
    ({"text": "x", "messages": []}, CORPUS, 'either "text" or "messages", found text and messages'),
    ({"images": []}, CORPUS, 'either "text" or "messages", found neither'),
    ({"text": "<image>", "images": ["none.png"]}, CORPUS, "none.png"),
    ({"text": "<image>", "images": "a.png"}, CORPUS, "expected a list of paths"),
    ({"text": "without", "images": ["a.png"]}, CORPUS, "image"),
    ({"text": 7}, CORPUS, "expected a string"),
    ([1], CORPUS, "expected an object, found a list"),
)


@pytest.mark.parametrize(("record", "code", "words"), REFUSED, ids=[case[2][:20] for case in REFUSED])
def test_bad_record_is_refused_with_its_line(
    record: Any, code: int, words: str, model: Path, photos: Path
) -> None:
    output = photos / "refused.h5"
    records = write_records(photos, RECORDS[1], record)
    result = run(PROGRAM, "--model", model, "--output", output, records)
    assert_refused(result, code, "line 2", words)
    assert not output.exists() and not list(photos.glob("*.partial"))


def test_directory_without_a_processor_is_refused(model: Path, photos: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text((model / name).read_text())
    output = photos / "refused.h5"
    records = write_records(photos, *RECORDS)
    result = run(PROGRAM, "--model", tmp_path, "--output", output, records)
    assert_refused(result, MODEL, str(tmp_path))
