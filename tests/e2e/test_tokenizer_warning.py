"""A corpus that was made with another tokenizer than the checkpoint's is swept with a warning.

The program computes the fingerprint of tokenizer.json itself, by the definition in data/README.md; for
an untouched corpus it must find what data/prepare_corpus.py stored.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import pytest

import small_tokenizers as small
from preparing import run_well, write
from preparation.tokenizer_files import check_directory, fingerprint_of
from support.compatibility import Compatibility

ROOT = Path(__file__).resolve().parents[2]


def planned(program: Path, corpus: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    command = [program, "plan", "jobs/quick.toml", "--ranks", "1", "--set", f"corpus.path={corpus}"]
    command += [word for setting in settings for word in ("--set", setting)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def plan_of(program: Path, corpus: Path, *settings: str) -> str:
    result = planned(program, corpus, *settings)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("is_touched", [False, True])
def test_only_another_tokenizer_is_warned_of(program: Path, tmp_path: Path, is_touched: bool) -> None:
    corpus = Path(shutil.copy(ROOT / "corpora/demo.h5", tmp_path / "corpus.h5"))
    if is_touched:
        with h5py.File(corpus, "r+") as file:
            file.attrs["tokenizer_fingerprint"] = "0" * 64
    assert ("another tokenizer" in plan_of(program, corpus)) == is_touched


def token(content: str, **flags: bool) -> dict[str, Any]:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"content": content} | dict.fromkeys(names, False) | flags


# What lies beside tokenizer.json, and whether ids can be others for it.
BESIDE: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, False),
    "known_tokens": (
        {
            "tokenizer_config": {
                "bos_token": "<s>",
                "eos_token": {"__type": "AddedToken"} | token("</s>"),
                "add_bos_token": True,
                "pad_token": None,
                "additional_special_tokens": ["<s>"],
            },
            "special_tokens_map": {"bos_token": token("<s>"), "unk_token": "</s>"},
        },
        False,
    ),
    "added_tokens_decoder": (
        {
            "tokenizer_config": {
                "added_tokens_decoder": {
                    "0": token("<s>", special=True),
                    "501": token("<|é\n\u2028\x7f|>", special=True),
                    "500": token("<z>"),
                }
            }
        },
        True,
    ),
    "additional_special_tokens": (
        {"tokenizer_config": {"additional_special_tokens": ["<z>", "<a>"]}},
        True,
    ),
    "extra_special_tokens": (
        {"tokenizer_config": {"extra_special_tokens": {"image_token": "<image>"}}},
        True,
    ),
    "special_tokens_map": ({"special_tokens_map": {"pad_token": token("<pad>")}}, True),
    "added_tokens": ({"added_tokens": {"<z>": 501, "<a>": 500}}, True),
    "odd_numbers": ({"tokenizer_config": {"model_max_length": 10**30, "x": float("nan")}}, False),
}


def model_of(directory: Path, files: dict[str, Any]) -> Path:
    """SmolLM2's weights with a small tokenizer, whose texts of merges have to be read as pairs."""
    small.save(small.byte_level(), directory, **files)
    content = json.loads((directory / "tokenizer.json").read_text())
    merges = [" ".join(merge) for merge in content["model"]["merges"]]
    small.changed(directory, model__merges=merges)
    for name in ("config.json", "model.safetensors"):
        (directory / name).symlink_to(ROOT / "models/smollm2-135m-instruct" / name)
    return directory


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with nothing beside tokenizer.json, and a corpus that was made with it."""
    folder = tmp_path_factory.mktemp("prepared")
    model, corpus = model_of(folder / "plain", {}), folder / "corpus.h5"
    source = write(folder / "a.txt", "The quick brown fox. " * 200)
    run_well("prepare_corpus.py", "--tokenizer", model, "--output", corpus, "--jobs", 1, source)
    with h5py.File(corpus) as file:
        assert file.attrs["tokenizer_fingerprint"] == fingerprint_by_preparation(model)
    return model, corpus


def fingerprint_by_preparation(model: Path) -> str:
    content = check_directory(model)
    assert content is not None
    return fingerprint_of(content, model)


@pytest.mark.parametrize("beside", BESIDE)
def test_fingerprint_is_preparations_with_every_file(
    beside: str, prepared: tuple[Path, Path], program: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Both programs find the same; tokens beside tokenizer.json make another tokenizer of it."""
    files, is_other = BESIDE[beside]
    model = model_of(tmp_path / "model", files)
    plain, made = prepared
    corpus = Path(shutil.copy(made, tmp_path / "corpus.h5"))
    with h5py.File(corpus, "r+") as file:
        file.attrs["tokenizer_fingerprint"] = fingerprint_by_preparation(model)
    sequences = "corpus.sequence_length=64"
    assert "another tokenizer" not in plan_of(program, corpus, f"model.path={model}", sequences)
    said = plan_of(program, corpus, f"model.path={plain}", sequences)
    assert ("another tokenizer" in said) == is_other
    if beside == "added_tokens_decoder":
        (line,) = [line for line in said.splitlines() if "another tokenizer" in line]
        line = line.partition(": expected")[0]
        what = "a corpus made with other added tokens than the checkpoint's"
        compatibility("Tokenizers", what, "warned", line)


@pytest.mark.parametrize("field", ["id", "content", "special"])
def test_added_token_without_a_field_is_refused_by_a_sweep(
    field: str, program: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    model = model_of(tmp_path / "model", {})
    added = json.loads((model / "tokenizer.json").read_text())["added_tokens"]
    del added[1][field]
    small.changed(model, added_tokens=added)
    result = planned(program, ROOT / "corpora/demo.h5", f"model.path={model}")
    assert result.returncode == 4
    assert f'added_tokens, entry 2: expected "{field}", found none' in result.stderr
    assert len(result.stderr.splitlines()) == 1
    if field == "special":
        what = "a sweep beside an added token without `special`"
        compatibility("Tokenizers", what, "refused", result.stderr)
