"""Classes of images: a checkpoint's classifier, a head beside it, CLIP's zero-shot by texts.

Against transformers' own classes for image classification, and CLIPModel with the same texts: log-likelihood
of the label, its rank, the predicted class; of the original and of a variant under forward hooks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import actsweep
import h5py
import numpy as np
import pytest
import torch
from actsweep.results import image_classes
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from support.image_files import random_images, write_image_file
from support.interventions import REGISTER, Labels, Means, Table, intervened
from support.sweeps import Sweep, environment, read_datasets, run_program, to_toml
from support.vision_models import VisionModel, make_random, save
from support.vision_models.model import dino_sizes, sizes
from support.vision_oracle import VisionOracle
from support.watching import run

ROOT = Path(__file__).resolve().parents[2]
IMAGES, CLASSES = 9, 11
PLAIN = sizes(65, 3, 5, 131, 6, image_size=36) | {"num_labels": CLASSES}
DINO = dino_sizes(65, 3, 5, 2, 6, image_size=36, num_labels=CLASSES)
TEXT = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37,
    "vocab_size": 40, "max_position_embeddings": 17, "projection_dim": 19,
    "bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0,
}  # fmt: skip
CLIP = {"vision_config": PLAIN, "text_config": TEXT, "projection_dim": 19, "num_labels": CLASSES}
SIGLIP_TEXT = {key: TEXT[key] for key in TEXT if key != "projection_dim"} | {"projection_size": 65}
MODELS = (
    VisionModel("vit", "vit", "ViTForImageClassification", PLAIN, (36, 36)),
    VisionModel("vit_msn", "vit_msn", "ViTMSNForImageClassification", PLAIN, (36, 36)),
    VisionModel("deit", "deit", "DeiTForImageClassification", PLAIN, (36, 36), class_tokens=2),
    VisionModel(
        "deit-teacher", "deit", "DeiTForImageClassificationWithTeacher", PLAIN, (36, 36), class_tokens=2
    ),
    VisionModel("dinov2", "dinov2", "Dinov2ForImageClassification", DINO, (36, 36)),
    VisionModel(
        "dinov2_with_registers", "dinov2_with_registers", "Dinov2WithRegistersForImageClassification",
        DINO | {"num_register_tokens": 4}, (36, 36), registers=4,
    ),
    VisionModel("ijepa", "ijepa", "IJepaForImageClassification", PLAIN, (36, 36), class_tokens=0),
    VisionModel("clip", "clip", "CLIPForImageClassification", CLIP, (36, 36)),
    VisionModel(
        "siglip", "siglip", "SiglipForImageClassification",
        {"vision_config": PLAIN, "text_config": SIGLIP_TEXT, "num_labels": CLASSES}, (36, 36),
        class_tokens=0,
    ),
)  # fmt: skip
WHOLE_CLIP = VisionModel("clip", "clip", "CLIPModel", CLIP, (36, 36))
ZERO = {"layer": 1, "channels": "all", "tokens": "argmax", "action": "zero"}
TIMES = 4  # of transformers' own rounding
FLOOR = 1e-5  # nats, of logits of order one to ten


@dataclass(frozen=True)
class Inputs:
    folder: Path
    described: VisionModel
    model: Path
    pixels: np.ndarray
    labels: np.ndarray
    images: Path

    def job(self, classifier: str, output: Path, **parallel: Any) -> dict[str, Any]:
        return {
            "model": {"path": str(self.model)},
            "corpus": {"path": str(self.images)},
            "parallel": {"threads": 1, "microbatch_tokens": 160, **parallel},
            "statistics": {"sites": [], "classifier": classifier},
            "output": {"path": str(output), "segment_tokens": 160, "per_token": "none"},
            "intervention": [{**ZERO, "variant": "zero"}],
        }


def make_inputs(folder: Path, described: VisionModel) -> Inputs:
    torch.set_num_threads(1)
    pixels = random_images(IMAGES, *described.image, seed=5)
    labels = np.random.default_rng(1).integers(0, CLASSES, IMAGES)
    model = save(make_random(described), described, folder / "model")
    images = write_image_file(folder / "images.h5", pixels, labels.tolist())
    return Inputs(folder, described, model, pixels, labels, images)


def logits_of(
    inputs: Inputs,
    dtype: torch.dtype,
    table: Table = ZERO,
    labels: Labels | None = None,
    means: Means | None = None,
    **texts: torch.Tensor,
) -> list[np.ndarray]:
    """[images, classes] of the original and of the variant."""
    oracle = VisionOracle(inputs.model, dtype)
    labels = labels or Labels(np.zeros(inputs.described.tokens, np.uint8))
    original = np.stack([oracle.logits(image, **texts) for image in inputs.pixels])
    with intervened(oracle.blocks, [table], labels, means):
        changed = np.stack([oracle.logits(image, **texts) for image in inputs.pixels])
    assert np.abs(changed - original).max() > 100 * FLOOR
    return [original.astype(np.float64), changed.astype(np.float64)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    off = logits - logits.max(axis=1, keepdims=True)
    return off - np.log(np.exp(off).sum(axis=1, keepdims=True))


def assert_classes(found: dict[str, np.ndarray], inputs: Inputs, exact: list, single: list) -> None:
    np.testing.assert_array_equal(found["classification/label"], inputs.labels)
    for number, (logits, rounded) in enumerate(zip(exact, single, strict=True)):
        mine = {
            name: found[f"variants/{name}"][number - 1] if number else found[f"classification/{name}"]
            for name in ("predicted", "label_rank", "label_log_likelihood")
        }
        images = np.arange(IMAGES)
        of_label = logits[images, inputs.labels]
        others = np.abs(logits - of_label[:, None])
        others[images, inputs.labels] = np.inf
        allowed = TIMES * np.abs(rounded - logits).max() + FLOOR
        assert others.min() > 2 * allowed  # so that rounding decides no rank
        np.testing.assert_array_equal(mine["predicted"], logits.argmax(axis=1))
        np.testing.assert_array_equal(mine["label_rank"], (logits > of_label[:, None]).sum(axis=1))
        expected = log_softmax(logits)[images, inputs.labels]
        assert np.abs(mine["label_log_likelihood"] - expected).max() < 2 * allowed


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model.name)
def inputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(tmp_path_factory.mktemp("classes"), request.param)


def test_classes_are_those_of_transformers(inputs: Inputs, program: Path) -> None:
    """At m = 1, 2 and 3, from weights that stay and that are streamed, bit for bit at one m."""
    exact, single = (logits_of(inputs, dtype) for dtype in (torch.float64, torch.float32))
    for m, weights in ((1, "resident"), (1, "streamed"), (2, "resident"), (3, "streamed")):
        output = inputs.folder / f"{m}-{weights}.h5"
        job = inputs.job("checkpoint", output, tensor=m, weights=weights)
        assert_classes(read_datasets(Sweep(program, job, m).run()), inputs, exact, single)
    one, other = (read_datasets(inputs.folder / f"1-{kind}.h5") for kind in ("resident", "streamed"))
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), name


def test_head_beside_the_checkpoint_is_its_own(program: Path, tmp_path: Path) -> None:
    """Of DINOv2, whose heads are published apart: with the mean of the patches, and of the class token
    alone; replicas and the models' fingerprint as without."""
    described = next(model for model in MODELS if model.name == "dinov2")
    inputs = make_inputs(tmp_path, described)
    stored = load_file(inputs.model / "model.safetensors")
    weight, bias = (stored[f"classifier.{name}"].contiguous() for name in ("weight", "bias"))
    head = tmp_path / "head.safetensors"
    save_file({"weight": weight, "bias": bias}, head)
    own = Sweep(program, inputs.job("checkpoint", tmp_path / "own.h5")).run()
    beside = Sweep(program, inputs.job(str(head), tmp_path / "beside.h5"), 2).run()
    for name, values in read_datasets(own).items():
        assert values.tobytes() == read_datasets(beside)[name].tobytes(), name
    with h5py.File(own) as one, h5py.File(beside) as other:
        assert one.attrs["model_fingerprint"] == other.attrs["model_fingerprint"]
        assert json.loads(one.attrs["label_names"])[0] == "class 0"
    save_file({"weight": weight[:, :65].contiguous()}, head)
    narrow = read_datasets(Sweep(program, inputs.job(str(head), tmp_path / "narrow.h5")).run())
    oracle = VisionOracle(inputs.model, torch.float64)
    with torch.no_grad():
        oracle.whole.classifier.weight[:, 65:] = 0
        oracle.whole.classifier.bias[:] = 0
    logits = np.stack([oracle.logits(image) for image in inputs.pixels])
    expected = log_softmax(logits)[np.arange(IMAGES), inputs.labels]
    np.testing.assert_allclose(narrow["classification/label_log_likelihood"], expected, atol=1e-4)


def test_fixed_registers_with_means_of_a_sweep_without_a_classifier(program: Path, tmp_path: Path) -> None:
    """The paper's Fix-Reg-Mean against accuracy: the means are of the same model, read without its head."""
    described = next(model for model in MODELS if model.registers)
    inputs = make_inputs(tmp_path, described)
    fix = {"layer": "all", "channels": "all", "tokens": "registers", "action": "mean"}
    plain = inputs.job("checkpoint", tmp_path / "means.h5")
    plain |= {"statistics": {}, "intervention": []}
    means = Sweep(program, plain).run()
    job = inputs.job("checkpoint", tmp_path / "fixed.h5")
    job["intervention"] = [{**fix, "variant": "zero", "from": str(means)}]
    found = read_datasets(Sweep(program, job).run())
    labels = np.full(described.tokens, 2)
    labels[:1], labels[1 : 1 + described.registers] = 0, REGISTER
    exact, single = (
        logits_of(inputs, dtype, fix | {"from": ""}, Labels(labels), Means.of(read_datasets(means)))
        for dtype in (torch.float64, torch.float32)
    )
    assert_classes(found, inputs, exact, single)


def test_files_merge_and_the_commands_tell_accuracies(program: Path, tmp_path: Path) -> None:
    whole = make_inputs(tmp_path, MODELS[0])
    names = json.dumps([f"class {i}" for i in range(CLASSES)])
    write_image_file(whole.images, whole.pixels, whole.labels, label_names=names)
    expected = read_datasets(Sweep(program, whole.job("checkpoint", tmp_path / "whole.h5")).run())
    parts = []
    for number, images in enumerate((slice(0, 5), slice(5, IMAGES))):
        path = tmp_path / f"images-{number}.h5"
        write_image_file(path, whole.pixels[images], whole.labels[images], label_names=names)
        job = whole.job("checkpoint", tmp_path / f"{number}.h5") | {"corpus": {"path": str(path)}}
        parts.append(Sweep(program, job).run())
    merged = tmp_path / "merged.h5"
    run_program(program, "merge", *parts, "-o", merged)
    found = read_datasets(merged)
    for path in expected:
        if path.startswith("classification/") or path.endswith(("label_rank", "predicted")):
            # In micro-batches of other sizes products round otherwise.
            np.testing.assert_allclose(found[path], expected[path], rtol=0, atol=FLOOR, err_msg=path)
    ranks = expected["classification/label_rank"]
    shares = [f"{100 * (ranks < top).mean():.1f} %" for top in (1, 5)]
    said = run_program(program, "show", merged)
    assert f"Classes of {IMAGES} images" in said
    assert re.findall(r"\(original\) +([\d.]+ %) +([\d.]+ %)", said) == [tuple(shares)]
    with actsweep.open(merged) as sweep:
        table = image_classes.accuracies(sweep).set_index("variant")
    assert table.loc["original", "top-5 accuracy"] == (ranks < 5).mean()
    assert table.loc["zero", "images"] == IMAGES


def make_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Of words, between a BOS and an EOS, as CLIP's."""
    words = ["a", "photo", "drawing", "of", *(f"thing{i}" for i in range(CLASSES)), "."]
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<bos>", "<unk>", "<eos>", *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 3)]
    )
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )
    whole.save_pretrained(directory)
    return whole


def prepare_labels(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "data/prepare_labels.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_zero_shot_is_clips_own(program: Path, tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, WHOLE_CLIP)
    tokenizer = make_tokenizer(inputs.model)
    names = [f"thing{i}" for i in range(CLASSES)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    head = tmp_path / "classes.safetensors"
    done = prepare_labels("--model", inputs.model, "--classes", tmp_path / "names.txt", "--output", head)
    assert done.returncode == 0, done.stderr
    texts = tokenizer([f"a photo of a {name}." for name in names], padding=True, return_tensors="pt")
    given = {name: texts[name] for name in ("input_ids", "attention_mask")}
    exact, single = (logits_of(inputs, dtype, **given) for dtype in (torch.float64, torch.float32))
    for m in (1, 2):
        job = inputs.job(str(head), tmp_path / f"{m}.h5", tensor=m)
        assert_classes(read_datasets(Sweep(program, job, m).run()), inputs, exact, single)


def test_several_texts_of_a_class_are_their_mean(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path, WHOLE_CLIP)
    tokenizer = make_tokenizer(inputs.model)
    head, templates = tmp_path / "classes.safetensors", ("a photo of a {}.", "a drawing of {}")
    (tmp_path / "names.txt").write_text("thing0\nthing1\nthing2\n")
    options = [word for template in templates for word in ("--template", template)]
    done = prepare_labels(
        "--model", inputs.model, "--classes", tmp_path / "names.txt", "--output", head, *options
    )
    assert done.returncode == 0, done.stderr
    clip = VisionOracle(inputs.model).whole
    expected = []
    for number in range(3):
        ids = tokenizer([t.format(f"thing{number}") for t in templates], padding=True, return_tensors="pt")
        with torch.no_grad():
            said = clip.text_model(ids["input_ids"], attention_mask=ids["attention_mask"]).pooler_output
            directions = torch.nn.functional.normalize(clip.text_projection(said))
        mean = torch.nn.functional.normalize(directions.mean(0), dim=0)
        expected.append(mean * clip.logit_scale.exp())
    found = load_file(head)["weight"]
    torch.testing.assert_close(found, torch.stack(expected).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        ("no labels", 3, "label: missing"),
        ("a label beyond", 3, "expected one of the classifier's 11 classes, counted from 0, found 11"),
        ("no classifier", 4, "tensor classifier.weight: missing"),
        ("another width", 4, "expected [classes, 65], or [classes, 130]"),
        ("no weight", 4, "tensor weight: missing"),
        ("no such file", 4, "none.safetensors"),
    ],
)
def test_what_does_not_fit_is_refused(
    case: str, code: int, words: str, program: Path, tmp_path: Path
) -> None:
    described = MODELS[0]
    if case == "no classifier":
        described = VisionModel("vit", "vit", "ViTModel", sizes(65, 3, 5, 131, 6, image_size=36), (36, 36))
    inputs = make_inputs(tmp_path, described)
    head = tmp_path / "head.safetensors"
    save_file({"bias" if case == "no weight" else "weight": torch.zeros(11, 64)}, head)
    classifier = {"another width": str(head), "no weight": str(head), "no such file": "none.safetensors"}
    if case == "no labels":
        write_image_file(inputs.images, inputs.pixels)
    if case == "a label beyond":
        write_image_file(inputs.images, inputs.pixels, [*range(8), CLASSES])
    job = tmp_path / "job.toml"
    job.write_text(to_toml(inputs.job(classifier.get(case, "checkpoint"), tmp_path / "sweep.h5")))
    result = run([str(program), "plan", str(job), "--ranks", "1"], env=environment())
    assert result.returncode == code, result.stderr
    assert words in result.stderr
