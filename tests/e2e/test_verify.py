"""`python -m actsweep verify`: what it compares, what it finds, what it refuses.

Random checkpoints, stored by transformers; the program under test runs the job's windows.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from running import write_job
from safetensors.torch import load_file, save_file
from support.compatibility import Compatibility
from support.image_files import random_images, write_image_file
from support.random_models import MODELS, make_random, save
from support.token_files import Corpus, write_token_file
from support.transformers_oracle import BothPrecisions, Oracle
from support.vision_models import MODELS as VISION_MODELS
from support.vision_models import VisionModel
from support.vision_models import make_random as make_random_vision
from support.vision_models import save as save_vision
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verifying import (
    CUT,
    LLAMA,
    WEIGHTS,
    Verify,
    job_of,
    llama,
    text_corpus,
    verify,
    with_config,
    with_tensors,
)

from actsweep.cli import main

__all__ = ["llama", "verify"]  # fixtures

GPT2 = next(model for model in MODELS if model.family == "gpt2")
VIT = next(model for model in VISION_MODELS if model.family == "vit" and model.is_interpolated)
REGISTERS = next(m for m in VISION_MODELS if m.family == "dinov2_with_registers" and m.registers == 3)
OF_IMAGES = ("attention/", "attention_received/", "scores/", "geometry/")


def test_a_corpus_of_several_files_is_verified(verify: Verify, llama: Path, tmp_path: Path) -> None:
    """Two windows of the second file, whose documents are counted on from those of the first."""
    text = text_corpus(LLAMA)
    short = Corpus(text.vocabulary, [text.documents[0][:3]], text.classes)
    paths = [str(write_token_file(tmp_path / "short.h5", short, {})), str(llama / "corpus.h5")]
    done = verify(job_of(llama, tmp_path / "job.toml", corpus={"path": paths}), "--windows", 2)
    assert (done.code, done.err) == (0, "")
    assert "of short.h5, corpus.h5" in done.out and done.verdict.startswith("agree: ")


def test_a_language_model_agrees(verify: Verify, llama: Path, tmp_path: Path) -> None:
    job = job_of(llama, tmp_path / "job.toml")
    done = verify(job, "--windows", 3)
    assert (done.code, done.err) == (0, "")
    layers = 1 + json.loads((llama / "model/config.json").read_text())["num_hidden_layers"]
    assert [row[0] for row in done.layers] == [str(number) for number in range(layers)]
    # As far apart as rounding, of which transformers' own is the measure.
    for row in done.layers[1:]:
        assert 0 < float(row[1]) < 1e-4 and 0 < float(row[2]) < 1e-4 and float(row[3]) < 1e-4
    assert done.verdict.startswith(f"agree: all {layers} layers within")
    (loss,) = [line.split()[1] for line in done.out.splitlines() if line.split()[:1] == ["loss"]]
    assert float(loss) < 1e-4
    # Of documents of 57 and 1 tokens: 39 and a BOS, 18 and a BOS, 1 and a BOS.
    cut = "2 to 40 tokens, per_document, bos each_window"
    assert f"windows    the first 3 of {cut}, of corpus.h5\n" in done.out
    assert not job.with_suffix(".h5").exists()


def test_gpt2_agrees_and_interventions_are_left_out(verify: Verify, tmp_path: Path) -> None:
    save(make_random(GPT2), GPT2, tmp_path / "model")
    write_token_file(tmp_path / "corpus.h5", text_corpus(GPT2), {})
    change = {"layer": 1, "channels": [3], "tokens": "position:0", "action": "zero"}
    done = verify(job_of(tmp_path, tmp_path / "job.toml", intervention=[change]))
    assert (done.code, done.err) == (0, "")
    assert "left out   the job's interventions\n" in done.out


@pytest.mark.parametrize("name", ["llama-5over5-dynamic", "falcon-5over5-alibi-serial-biases"])
def test_models_that_need_care_of_transformers_agree(name: str, verify: Verify, tmp_path: Path) -> None:
    """A long window before a short one, whose rotary positions would be the long one's; ALiBi, which
    eager attention adds twice."""
    model = next(model for model in MODELS if model.name == name)
    save(make_random(model), model, tmp_path / "model")
    write_token_file(tmp_path / "corpus.h5", text_corpus(model), {})
    done = verify(job_of(tmp_path, tmp_path / "job.toml"))
    assert (done.code, done.err) == (0, "")
    assert "the first 2 of 19 to 40 tokens" in done.out
    assert all(float(row[1]) < 1e-4 for row in done.layers)


def test_tokens_whose_experts_tie_are_left_out_and_counted(verify: Verify, tmp_path: Path) -> None:
    """Two experts of one layer that every router logit finds equal."""
    model = next(model for model in MODELS if model.family == "mixtral")
    save(make_random(model), model, tmp_path / "model")
    write_token_file(tmp_path / "corpus.h5", text_corpus(model), {})
    job = job_of(tmp_path, tmp_path / "job.toml")
    done = verify(job)
    assert done.code == 0 and "two experts tie" not in done.out

    tensors = load_file(tmp_path / "model" / WEIGHTS)
    (router,) = [name for name in tensors if "layers.1." in name and name.endswith("gate.weight")]
    tensors[router][1] = tensors[router][0]
    save_file(tensors, tmp_path / "model" / WEIGHTS, metadata={"format": "pt"})
    oracles = BothPrecisions(tmp_path / "model")
    passes = [oracles.run(window.ids) for window in text_corpus(model).windows(CUT)[:2]]
    sure = np.concatenate([one.is_sure for one in passes], axis=1)
    done = verify(job)
    assert (done.code, done.err) == (0, "")
    assert 0 < (~sure).sum() < sure.size
    count = f"{(~sure).sum():,} of {sure.size:,} tokens of layers"
    assert f"left out   {count}: two experts tie there, or before\n" in done.out


@pytest.mark.parametrize("model", [VIT, REGISTERS], ids=["vit", "dinov2_with_registers"])
def test_a_vision_transformer_agrees_on_images_of_another_size(
    model: VisionModel, verify: Verify, tmp_path: Path
) -> None:
    """And what is measured of its attention, in which every query sees every key."""
    save_vision(make_random_vision(model), model, tmp_path / "model")
    write_image_file(tmp_path / "corpus.h5", random_images(3, *model.image))
    sets = ["position:0", "events", *(["registers"] if model.registers else [])]
    asked = {"attention_received": True, "score_extrema": True, "geometry": True, "quantisation": True}
    job = write_job(
        tmp_path / "job.toml",
        {
            "model": {"path": str(tmp_path / "model")},
            "corpus": {"path": str(tmp_path / "corpus.h5")},
            "statistics": {
                "attention": sets, **asked, "criterion_magnitude": 0.01, "criterion_ratio": 1.5,
            },  # fmt: skip
            "output": {"path": str(tmp_path / "sweep.h5")},
        },
    )
    done = verify(job)
    assert (done.code, done.err) == (0, "")
    height, width = model.image
    assert f"windows    the first 2 images of {height} × {width} pixels, of corpus.h5" in done.out
    assert "note       pixels are those of the corpus: the checkpoint's processor is not run\n" in done.out
    assert "note       quantisation not compared: the corpus has images\n" in done.out
    assert all(float(row[1]) < 1e-4 for row in done.layers)
    compared = [line.split("/")[0] for line in done.out.splitlines() if line.startswith(OF_IMAGES)]
    assert Counter(compared) == {
        "attention": 15, "attention_received": 4, "scores": 5, "geometry": 4,
    }  # fmt: skip


def test_the_differences_are_those_of_the_streams(verify: Verify, llama: Path, tmp_path: Path) -> None:
    """A reference that adds 0.5 to one channel of block 2's output: so much by that channel's scale."""

    def shift(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.1.mlp.down_proj.weight"][7] *= 1.25

    reference = with_tensors(llama, tmp_path / "other", shift)
    done = verify(job_of(llama, tmp_path / "job.toml"), "--reference", reference)
    windows = text_corpus(LLAMA).windows(CUT)[:2]
    mine, theirs = (Oracle(path) for path in (llama / "model", reference))
    a = [mine.residual(window.ids)[2] for window in windows]
    b = [theirs.residual(window.ids)[2] for window in windows]
    largest = np.max([np.abs(one).max(axis=0) for one in b], axis=0)
    scale = np.maximum(largest, 1e-2 * np.median(largest))
    errors = np.stack([np.abs(x - y)[: min(map(len, a))] / scale for x, y in zip(a, b, strict=True)])
    assert done.code == 1
    assert float(done.layers[2][1]) == pytest.approx(
        max((np.abs(x - y) / scale).max() for x, y in zip(a, b, strict=True)), rel=0.05
    )
    assert errors[..., [c for c in range(len(scale)) if c != 7]].max() == 0
    assert done.layers[2][-2:] == ["7", "BEYOND"]
    assert done.verdict.startswith("DIFFER from layer 2 on: ")


def zero_norm(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.2.input_layernorm.weight"] *= 0.9


def swap_embeddings(tensors: dict[str, torch.Tensor]) -> None:
    name = "model.embed_tokens.weight"
    tensors[name] = tensors[name].roll(1, dims=0)


CHANGED: Mapping[str, tuple[Callable[[dict[str, torch.Tensor]], None], int]] = {
    "weights of a block": (zero_norm, 3),
    "rows of the embedding": (swap_embeddings, 0),
}


@pytest.mark.parametrize("what", CHANGED)
def test_other_weights_are_found_in_their_layer(
    what: str, verify: Verify, llama: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    change, layer = CHANGED[what]
    reference = with_tensors(llama, tmp_path / "other", change)
    done = verify(job_of(llama, tmp_path / "job.toml"), "--reference", reference)
    assert done.code == 1
    assert done.verdict.startswith(f"DIFFER from layer {layer} on: ")
    beyond = [int(row[0]) for row in done.layers if row[-1] == "BEYOND"]
    assert beyond == list(range(layer, len(done.layers)))
    said = done.verdict.split(":")[0]
    compatibility("Checkpoints", f"other {what} than transformers has: `verify`", "warned", said)


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rms_norm_eps": 0.5},
    ],
    ids=["rope-factor", "rope-base", "epsilon"],
)
def test_other_keys_of_the_config_are_found_in_the_first_block(
    keys: dict[str, Any], verify: Verify, llama: Path, tmp_path: Path
) -> None:
    reference = with_config(llama, tmp_path / "other", **keys)
    done = verify(job_of(llama, tmp_path / "job.toml"), "--reference", reference)
    assert done.code == 1 and done.verdict.startswith("DIFFER from layer 1 on: ")


def test_a_wider_bound_allows_more(verify: Verify, llama: Path, tmp_path: Path) -> None:
    reference = with_tensors(llama, tmp_path / "other", zero_norm)
    job = job_of(llama, tmp_path / "job.toml")
    done = verify(job, "--reference", reference, "--bound", 1000)
    assert done.code == 0 and done.verdict.endswith("bound 1000")


def test_a_head_that_differs_is_found_in_the_loss_alone(
    verify: Verify, llama: Path, tmp_path: Path
) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"] *= 1.1

    reference = with_tensors(llama, tmp_path / "other", change)
    done = verify(job_of(llama, tmp_path / "job.toml"), "--reference", reference)
    assert done.code == 1 and done.verdict.startswith("DIFFER in the loss alone: ")
    assert not any(row[-1] == "BEYOND" for row in done.layers)


def test_a_checkpoint_of_another_shape_is_said_to_be_one(
    verify: Verify, llama: Path, tmp_path: Path
) -> None:
    other = next(model for model in MODELS if model.family == "llama" and model is not LLAMA)
    save(make_random(other), other, tmp_path / "other")
    done = verify(job_of(llama, tmp_path / "job.toml"), "--reference", tmp_path / "other")
    assert done.code in (1, 4)
    said = done.verdict if done.code == 1 else done.line
    assert "DIFFER" in said or "transformers cannot run the windows" in said


@pytest.fixture
def spelled(llama: Path, tmp_path: Path) -> Path:
    """The checkpoint with a tokenizer, and a corpus of words."""
    shutil.copytree(llama / "model", tmp_path / "model")
    shutil.copy(llama / "corpus.h5", tmp_path / "corpus.h5")
    return tmp_path


def test_tokens_are_those_of_the_checkpoints_tokenizer(verify: Verify, spelled: Path) -> None:
    write_words(spelled / "model", LLAMA.vocabulary)
    done = verify(job_of(spelled, spelled / "job.toml"))
    assert done.code == 0, done.out
    lines = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.startswith("tokens")]
    assert lines[:2] == ["BOS 1, as AutoTokenizer has it", "EOS none, as AutoTokenizer has it"]
    assert lines[2] == f"{LLAMA.vocabulary:,} spellings, as AutoTokenizer has them"
    assert lines[3].endswith("ids of the windows' documents, encoded anew, are the same")
    assert len(lines) == 4


def test_tokens_of_a_control_corpus_are_not_encoded_anew(verify: Verify, spelled: Path) -> None:
    """Their bytes are no text: the tokenizer may make other tokens of them."""
    write_words(spelled / "model", LLAMA.vocabulary)
    with h5py.File(spelled / "corpus.h5", "r+") as file:
        file.attrs["control"] = '{"kind": "random", "seed": 0, "length": 57}'
    done = verify(job_of(spelled, spelled / "job.toml"))
    assert done.code == 0, done.out
    lines = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.startswith("tokens")]
    assert len(lines) == 4
    assert lines[3].endswith("documents not encoded anew: a control corpus is no text")


def write_words(directory: Path, count: int, *, swapped: bool = False, bos: str = " w1") -> None:
    """A tokenizer of the words that token files of tests have; ids 10 and 11 may be swapped."""
    words = {index: f" w{index}" for index in range(1, count)}
    if swapped:
        words[10], words[11] = words[11], words[10]
    vocabulary = {word.replace(" ", "\u0120"): index for index, word in words.items()}
    tokenizer = Tokenizer(models.WordLevel({**vocabulary, "": 0}, unk_token=""))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "merged_with_next"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos.replace(" ", "\u0120"))
    fast.save_pretrained(directory)


def test_tokens_of_another_tokenizer_are_named(
    verify: Verify, spelled: Path, compatibility: Compatibility
) -> None:
    write_words(spelled / "model", LLAMA.vocabulary, swapped=True)
    done = verify(job_of(spelled, spelled / "job.toml"))
    assert done.code == 1
    assert done.out.splitlines()[-2].startswith("agree: ")  # the model itself
    assert done.verdict.startswith("DIFFER in the tokens: 2 of")
    wrong = [line[11:] for line in done.out.splitlines() if line.startswith("tokens     DIFFER")]
    assert wrong[0] == (
        f"DIFFER: 2 of {LLAMA.vocabulary:,} spellings differ: id 10 is ' w10' in the corpus, ' w11' to"
        " AutoTokenizer"
    )
    ids = text_corpus(LLAMA).documents[0]
    place = int(np.flatnonzero(ids == 10)[0])
    assert 11 not in ids[:place]
    assert wrong[1] == (
        f"DIFFER: document 0, token {place}: ' w10' (10) in the corpus, ' w10' (11) where AutoTokenizer"
        " encodes the text"
    )
    said = wrong[0].removeprefix("DIFFER: ")
    compatibility("Tokenizers", "a corpus of another vocabulary: `verify`", "warned", said)


def test_another_bos_is_named(verify: Verify, spelled: Path, compatibility: Compatibility) -> None:
    write_words(spelled / "model", LLAMA.vocabulary, bos=" w5")
    done = verify(job_of(spelled, spelled / "job.toml"))
    assert done.code == 1
    (wrong,) = [line[11:] for line in done.out.splitlines() if line.startswith("tokens     DIFFER")]
    assert wrong == "DIFFER: BOS 1, but AutoTokenizer has 5"
    said = wrong.removeprefix("DIFFER: ")
    compatibility("Tokenizers", "a corpus with another BOS: `verify`", "warned", said)


def test_bad_jobs_end_as_in_the_program(
    verify: Verify, llama: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("x = = 1\n")
    (tmp_path / "empty").mkdir()
    cases = {
        "a job that is not TOML": (broken, 2, "broken.toml:1:5: not TOML"),
        "a path without a job": (tmp_path / "none.toml", 2, "none.toml: "),
        "a corpus that is not there": (
            job_of(llama, tmp_path / "corpus.toml", corpus={"path": str(tmp_path / "none.h5")}),
            3, "none.h5: ",
        ),
        "a checkpoint without config.json": (
            job_of(llama, tmp_path / "model.toml", model={"path": str(tmp_path / "empty")}),
            4, "config.json: ",
        ),
    }  # fmt: skip
    for what, (job, code, words) in cases.items():
        done = verify(job)
        assert (done.code, done.out) == (code, ""), what
        assert words in done.line and not done.line.startswith("error"), what
        compatibility("Jobs and launches", f"{what}: `verify`", "refused", done.line)


def test_every_mistake_of_a_job_is_said(verify: Verify, tmp_path: Path) -> None:
    job = write_job(tmp_path / "job.toml", {"model": {"pth": "x"}, "corpus": {"path": "y"}})
    done = verify(job)
    said = done.err.removeprefix("actsweep: ").splitlines()
    assert done.code == 2 and len(said) == 3
    assert [key in line for key, line in zip(("[model] path", "[model] pth", "[output] path"), said)] == (
        [True] * 3
    )


def test_names_that_are_not_ascii_are_kept(verify: Verify, llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path / "modèle 🐘")
    job = job_of(tmp_path / "FOLDER", tmp_path / "job.toml")
    job.write_text(job.read_text().replace("FOLDER", "modèle 🐘"), encoding="utf-8")
    done = verify(job)
    assert (done.code, done.err) == (0, "")


def test_what_transformers_cannot_load_is_one_line(
    verify: Verify, llama: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = job_of(llama, tmp_path / "job.toml")
    unknown = with_config(llama, tmp_path / "unknown", model_type="none_such")

    def remove(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["model.layers.1.mlp.down_proj.weight"]

    incomplete = with_tensors(llama, tmp_path / "incomplete", remove)
    sink = with_config(llama, tmp_path / "sink", sink_token=True)
    listed = with_config(llama, tmp_path / "listed")
    (listed / "config.json").write_text("[]")
    cases = {
        "a reference of an unknown type": (unknown, "unknown: transformers cannot load it: "),
        "a reference without one of its tensors": (
            incomplete,
            "incomplete: transformers would fill model.layers.1.mlp.down_proj.weight with random values",
        ),
        "a GPT-2 with a sink token": (
            sink, "config.json: sink_token = true: transformers has no such GPT-2 to compare with",
        ),
        "a reference that is not there": (
            tmp_path / "none", "config.json: cannot be read: No such file or directory",
        ),
        "a reference whose config.json is a list": (
            listed, "config.json: expected a JSON object, found another value",
        ),
    }  # fmt: skip
    for what, (reference, words) in cases.items():
        done = verify(job, "--reference", reference)
        assert (done.code, done.out) == (4, ""), what
        assert words in done.line, what
        compatibility("Checkpoints", f"{what}: `verify`", "refused", words)


def test_without_the_program_it_says_where_it_looked(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(llama, tmp_path / "job.toml")
    assert main(["verify", str(job), "--program", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said == f"actsweep: {tmp_path / 'none'}: expected the program actsweep, found no such file\n"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["verify", str(job)]) == 2
    assert "expected the program at build/actsweep or on the PATH" in capsys.readouterr().err


def test_without_transformers_it_says_how_to_install_it(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    compatibility: Compatibility,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "transformers" else name)
    assert main(["verify", str(job_of(llama, tmp_path / "job.toml"))]) == 2
    said = capsys.readouterr().err.removeprefix("actsweep: ").strip()
    assert said == "verify needs transformers: pip install './analysis[verify]' brings what is missing"
    compatibility("Jobs and launches", "`verify` without transformers", "refused", said)


def test_a_model_of_which_memory_holds_no_layer_is_refused(
    verify: Verify, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compatibility: Compatibility
) -> None:
    monkeypatch.setattr("actsweep.verify.memory.available_bytes", lambda: 1000)
    done = verify(job_of(llama, tmp_path / "job.toml"))
    assert (done.code, done.out) == (5, "")
    assert done.line.endswith(" of memory are free")
    assert "model: layer by layer its largest layer in float32 takes 0.0 GiB" in done.line
    compatibility("Checkpoints", "a model of which memory holds no layer: `verify`", "refused", done.line)
