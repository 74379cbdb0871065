"""A config.json as people have it: numbers that JSON lacks, a byte order mark, keys twice; models of
several parts, quantised ones, absurd sizes. It is read as transformers does, or refused in one
line, exit code 4."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from support.compatibility import Compatibility
from support.config_comparison import Comparison, read_facts
from support.config_variants import Variant, base_config
from support.sweeps import environment, to_toml
from support.token_files import random_corpus, write_token_file

KIND = "config.json"
LLAMA = base_config("llama")
TEXT = json.dumps(LLAMA)
AYA = {"model_type": "aya_vision", "text_config": LLAMA, "vision_config": {}}
GEMMA3 = {"model_type": "gemma3", "vision_config": {}}


def llama(**changes: Any) -> dict[str, Any]:
    return LLAMA | changes


@dataclass(frozen=True)
class Oddity:
    """A config.json, in a few words, and what its refusal says; nothing where it is read."""

    name: str
    what: str
    text: str | bytes
    words: tuple[str, ...] = ()


READ = (
    Oddity("nan", "`NaN`, `Infinity` and `-Infinity`, in keys that do not count",
           TEXT[:-1] + ', "a": NaN, "b": [0.0, Infinity], "c": {"d": -Infinity}}'),
    Oddity("float-tags", "`{\"__float__\": \"Infinity\"}`, as transformers 5 writes it",
           TEXT[:-1] + ', "a": {"__float__": "Infinity"}}'),
    Oddity("twice", "a key twice: the last counts", TEXT[:-1] + ', "rms_norm_eps": 0.5, "rms_norm_eps": 0.25}'),
    Oddity("huge", "whole numbers of any size, in keys that do not count",
           TEXT[:-1] + ', "a": ' + "9" * 4000 + "}"),
    Oddity("deep", "900 levels, in a key that does not count",
           TEXT[:-1] + ', "a": ' + "[" * 900 + "]" * 900 + "}"),
    Oddity("surrogates", "half of a surrogate pair, in a name",
           TEXT[:-1] + ', "_name_or_path": "\\ud83d"}'),
    Oddity("tail", "white space around it", "\r\n\t " + TEXT + "\n\n"),
)  # fmt: skip
UNREAD = (  # models with mathematics that is not here, and what the refusal says of them
    ("diffllama", "a DiffLlama", "one softmax each, not the difference of two"),
    ("doge", "a Doge", "no bias that values make"),
    ("lladamoe", "a LLaDA with experts", '"llada", whose layers have no experts'),
    ("beit", "a BEiT", "no bias by the places of query and key"),
    ("gemma3n", "a Gemma 3n", "a model with one residual stream"),
    ("siglip2", "a SigLIP 2 of any image size (NaFlex)", '"siglip", a SigLIP 2 of fixed size'),
    ("sam", "a SAM", "sees an image whole and at one resolution"),
    ("videomae", "a VideoMAE", "not of the frames of a video"),
    ("vjepa2", "a V-JEPA 2", "not of the frames of a video"),
    ("kimi_linear", "a Kimi Linear", "states decay by heads, not by channels"),
    ("zamba2", "a Zamba 2", "layers have weights of their own"),
    ("eva", "an EVA, which transformers does not have", "a type that transformers has"),
)  # fmt: skip
REFUSED = (
    *(
        Oddity(family, what, json.dumps({"model_type": family}),
               (f'"model_type": expected {words}' if words[0] == '"' else words, f'found "{family}"'))
        for family, what, words in UNREAD
    ),
    Oddity("cut", "a file that was cut off", TEXT[:40], ("is not JSON: line 1, column 41",)),
    Oddity("comma", "a comma before the last bracket", TEXT[:-1] + ",}", ("is not JSON: line 1",)),
    Oddity("comment", "a comment", "{\n  // a model\n}", ("is not JSON: line 2, column 3",)),
    Oddity("latin", "Latin-1", '{"a": "é"}'.encode("latin-1"), ("expected UTF-8",)),
    Oddity("deeper", "1,500 levels", "[" * 1500 + "]" * 1500, ("expected at most 1000 levels",)),
    Oddity("digits", "a number of 5,000 digits", '{"a": ' + "9" * 5000 + "}",
           ("expected a number of at most 4300 digits",)),
    Oddity("empty", "an empty file", "", ("is empty",)),
    Oddity("list", "a list", "[1]", ("expected a JSON object, found array",)),
    Oddity("pointer", "a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n",
           ("Git LFS pointer", "git lfs pull")),
    Oddity("untyped", "no `model_type`", '{"hidden_size": 8}', ('"model_type" is missing',)),
    Oddity("aya", "a model of several parts that is not known (Aya Vision)", json.dumps(AYA),
           ('"aya_vision" is a model of several parts', '"text_config", of type "llama"')),
    Oddity("gemma3", "a Gemma 3 of several parts without its language model", json.dumps(GEMMA3),
           ('"text_config": expected an object with the language model of a "gemma3"', "found nothing")),
    Oddity("shared", "a Gemma 4 all of whose layers would take another's keys",
           json.dumps({**base_config("gemma4_text"), "num_kv_shared_layers": 4}),
           ('"num_kv_shared_layers": expected fewer than all layers', "found 4")),
    Oddity("wide", "a Gemma 4 with experts beside MLPs of two widths",
           json.dumps({**base_config("gemma4_text"), "num_kv_shared_layers": 2, "use_double_wide_mlp": True,
                       "enable_moe_block": True, "num_experts": 4, "top_k_experts": 2,
                       "moe_intermediate_size": 8}),
           ('"use_double_wide_mlp": expected false beside experts', "found true")),
    Oddity("llava", "a LLaVA whose language model is one of vision",
           json.dumps({"model_type": "llava", "text_config": base_config("clip_vision_model")}),
           ('"text_config.model_type": expected a language model', 'found "clip_vision_model"')),
    Oddity("mistral3", "a Mistral 3 whose language model is of an unknown type",
           json.dumps({"model_type": "mistral3", "text_config": {"model_type": "mistral9"}}),
           ('"text_config.model_type": expected one of', 'found "mistral9"')),
    Oddity("hqq", "a method of quantisation that is not known",
           json.dumps(llama(quantization_config={"quant_method": "hqq"})),
           ('"quantization_config.quant_method": expected one of "fp8"', 'found "hqq"')),
    Oddity("layers", "10¹² layers", json.dumps(llama(num_hidden_layers=10**12)),
           ('"num_hidden_layers": expected at most 100000, found 1000000000000',)),
    Oddity("product", "sizes whose product no memory has",
           json.dumps(llama(hidden_size=2**31 - 1, num_attention_heads=1, head_dim=2**40)),
           ('"head_dim": expected at most',)),
    Oddity("heads", "no heads", json.dumps(llama(num_attention_heads=0)),
           ('"num_attention_heads": expected a positive integer, found 0',)),
    Oddity("theta", "a negative `rope_theta`", json.dumps(llama(rope_theta=-10000.0)),
           ('rope_theta": expected a finite number above 0, found -10000.0',)),
    Oddity("epsilon", "a negative epsilon", json.dumps(llama(rms_norm_eps=-1e-5)),
           ('"rms_norm_eps": expected 0 or a number above it, found -1e-05',)),
    Oddity("nan-theta", "`NaN` in a key that counts", json.dumps(llama(rope_theta=float("nan"))),
           ('rope_theta": expected a finite number above 0, found NaN',)),
    Oddity("scaling", "`rope_scaling` as a text", json.dumps(llama(rope_scaling="longrope")),
           ('"rope_scaling": expected an object, found "longrope"',)),
    Oddity("type", "a key of the wrong type", json.dumps(llama(hidden_size="64")),
           ('"hidden_size": expected a whole number, found "64"',)),
    Oddity("null", "null in a key that has no null", json.dumps(llama(rms_norm_eps=None)),
           ('"rms_norm_eps": expected a floating-point number, found null',)),
    Oddity("whole", "`1` for `1.0`, which transformers refuses too",
           json.dumps(llama(rms_norm_eps=1)),
           ('"rms_norm_eps": expected a floating-point number, found 1',)),
    Oddity("mask", "`is_causal` false", json.dumps(llama(is_causal=False)),
           ('"is_causal": expected true',)),
)  # fmt: skip


def write(folder: Path, oddity: Oddity) -> Path:
    directory = folder / oddity.name
    directory.mkdir()
    text = oddity.text if isinstance(oddity.text, bytes) else oddity.text.encode()
    (directory / "config.json").write_bytes(text)
    return directory


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.h5"
    return write_token_file(path, random_corpus(LLAMA["vocab_size"], [40]), {})


@pytest.fixture
def answer(program: Path, corpus: Path, tmp_path: Path) -> Callable[[Path], tuple[int, str]]:
    """The exit code of a run over a checkpoint, and what a user sees."""

    def ask(directory: Path) -> tuple[int, str]:
        job = {
            "model": {"path": str(directory)},
            "corpus": {"path": str(corpus), "sequence_length": 20},
            "output": {"path": str(tmp_path / "sweep.h5")},
        }
        (tmp_path / "job.toml").write_text(to_toml(job))
        command = [str(program), "run", str(tmp_path / "job.toml")]
        result = subprocess.run(
            command, capture_output=True, text=True, env=environment(), timeout=120
        )
        return result.returncode, result.stdout + result.stderr

    return ask


@pytest.mark.parametrize("oddity", REFUSED, ids=lambda oddity: oddity.name)
def test_refused_in_one_line(
    oddity: Oddity, answer: Callable[[Path], tuple[int, str]], tmp_path: Path,
    compatibility: Compatibility,
) -> None:  # fmt: skip
    code, said = answer(write(tmp_path, oddity))
    lines = [line for line in said.splitlines() if line.strip() and "warning" not in line]
    assert code == 4 and len(lines) == 1, said
    assert f"{oddity.name}/config.json" in lines[0] and len(lines[0]) < 1000
    for word in oddity.words:
        assert word in lines[0], lines[0]
    for foreign in ("nlohmann", "json.exception", "std::", "Traceback"):
        assert foreign not in said
    compatibility(KIND, oddity.what, "refused", lines[0])


@pytest.mark.parametrize("oddity", READ, ids=lambda oddity: oddity.name)
def test_read_as_python_reads_it(
    oddity: Oddity, tmp_path: Path, compatibility: Compatibility
) -> None:
    """The facts are those of what Python's json makes of the text, and transformers takes it."""
    directory, plain = write(tmp_path, oddity), tmp_path / "plain"
    plain.mkdir()
    values = json.loads(oddity.text)
    kept = {key: value for key, value in values.items() if key in LLAMA or key == "rms_norm_eps"}
    (plain / "config.json").write_text(json.dumps(kept))
    mine, expected = read_facts([directory, plain])
    assert "facts" in mine and mine == expected, mine
    comparison = Comparison("llama", tmp_path / "compared")
    (tmp_path / "compared").mkdir()
    comparison.compare([Variant(oddity.name, kept, ())])
    assert not comparison.problems, comparison.problems
    compatibility(KIND, oddity.what, "read")


def test_a_byte_order_mark_is_dropped(tmp_path: Path, compatibility: Compatibility) -> None:
    """transformers takes a file with one for no JSON."""
    oddities = [
        Oddity("with", "", b"\xef\xbb\xbf" + TEXT.encode()), Oddity("without", "", TEXT)
    ]  # fmt: skip
    mine, expected = read_facts([write(tmp_path, oddity) for oddity in oddities])
    assert "facts" in mine and mine == expected
    compatibility(KIND, "a byte order mark", "read")


AS_TRANSFORMERS = {
    "`rope_scaling` beside `rope_parameters`": (
        "llama",
        llama(
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, rope_theta=500.0,
            rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        ),
    ),
    "`pretraining_tp` above 1": ("llama", llama(pretraining_tp=2)),
    "unknown keys": ("llama", llama(a_key={"b": [1, None]})),
    "gpt-oss without `rope_scaling`: yarn, by transformers' default": (
        "gpt_oss",
        {key: v for key, v in base_config("gpt_oss").items() if not key.startswith("rope")},
    ),
    "names of other families, `hidden_size` beside `n_embd`": (
        "gpt2",
        base_config("gpt2") | {"num_hidden_layers": 2},
    ),
    "a whole SigLIP: its vision half": ("siglip", base_config("siglip")),
    "keys left out: transformers' defaults": (
        "gemma2",
        {
            key: value
            for key, value in base_config("gemma2").items()
            if key not in ("attn_logit_softcapping", "final_logit_softcapping", "rms_norm_eps")
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", AS_TRANSFORMERS)
def test_read_as_transformers_reads_it(
    what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    torch.set_num_threads(1)
    family, config = AS_TRANSFORMERS[what]
    comparison = Comparison(family, tmp_path)
    comparison.compare([Variant(what, config, ())])
    assert not comparison.problems, comparison.problems
    assert len(comparison.groups) == 1
    compatibility(KIND, what, "read")


def test_a_siglip_of_384_pixels_has_27_by_27_patches(tmp_path: Path) -> None:
    """384 = 27 × 14 + 6: positions are made for whole patches alone."""
    torch.set_num_threads(1)
    config = base_config("siglip_vision_model") | {"image_size": 384, "patch_size": 14}
    comparison = Comparison("siglip_vision_model", tmp_path)
    comparison.compare([Variant("384", config, ())])
    assert not comparison.problems, comparison.problems
    (group,) = comparison.groups.values()
    assert group.stream.shape[1] == 27 * 27
