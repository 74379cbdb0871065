"""`python -m actsweep verify --layer-by-layer`: transformers' model a layer at a time gives what the whole
gives, in the memory of a few layers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from support.random_models import MODELS, make_random, save
from support.slow_cases import slow_unless
from verifying import Verify, job_of, llama, verify, with_tensors

from actsweep.verify.layered import LayeredReference
from actsweep.verify.program import ProgramFailed
from actsweep.verify.reference import Reference

__all__ = ["llama", "verify"]  # fixtures

FAMILIES = [
    "llama", "gpt2", "bloom", "falcon", "opt", "mixtral", "qwen3_moe", "gpt_oss", "gemma3_text",
    "deepseek_v3", "jamba", "qwen3_next", "nemotron_h", "falcon_h1", "lfm2", "llama4_text",
]  # fmt: skip

QUICK = ("llama", "mixtral", "deepseek_v3", "qwen3_next", "nemotron_h", "gemma4_text")


@pytest.fixture(autouse=True)
def quiet() -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


@pytest.mark.parametrize("name", [slow_unless(name in QUICK, name) for name in (*FAMILIES, "gemma4_text")])
def test_layer_by_layer_is_the_whole_model_to_the_bit(name: str, tmp_path: Path) -> None:
    """Streams, losses and what is told of experts, of windows of two lengths, the longer one first."""
    model = next(model for model in MODELS if model.family == name)
    save(make_random(model), model, tmp_path)
    random = np.random.default_rng(1)
    windows = [random.integers(0, model.vocabulary, length) for length in (40, 17)]
    whole, layered = (
        kind(tmp_path, is_text=True, tokens=40).run_all(windows) for kind in (Reference, LayeredReference)
    )
    for mine, theirs in zip(layered, whole, strict=True):
        assert np.array_equal(mine.stream, theirs.stream) and mine.stream.std() > 0
        assert np.array_equal(mine.is_sure, theirs.is_sure)
        assert (mine.nll is None) == (theirs.nll is None)
        assert mine.nll is None or np.array_equal(mine.nll, theirs.nll)


def test_the_command_says_the_same_layer_by_layer(verify: Verify, llama: Path, tmp_path: Path) -> None:
    """Statistics too."""
    statistics = {"sites": ["mlp_input"], "quantisation": True, "score_extrema": True, "geometry": True}
    job = job_of(llama, tmp_path / "job.toml", statistics=statistics)
    whole, layered = verify(job), verify(job, "--layer-by-layer")
    assert (whole.code, layered.code) == (0, 0)
    assert "the model was read layer by layer" in layered.out and "layer by layer" not in whole.out
    assert [row[:2] for row in layered.layers] == [row[:2] for row in whole.layers]
    assert layered.verdict == whole.verdict


def test_an_error_in_one_layer_is_found_layer_by_layer(
    verify: Verify, llama: Path, tmp_path: Path
) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.2.input_layernorm.weight"] *= 0.9

    reference = with_tensors(llama, tmp_path / "other", change)
    job = job_of(llama, tmp_path / "job.toml")
    done = verify(job, "--reference", reference, "--layer-by-layer")
    assert done.code == 1 and done.verdict.startswith("DIFFER from layer 3 on: ")


def test_a_model_larger_than_memory_is_read_layer_by_layer(
    verify: Verify, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actsweep.verify.memory.fits", lambda _directory, _work: False)
    done = verify(job_of(llama, tmp_path / "job.toml"))
    assert done.code == 0 and "the model was read layer by layer" in done.out


@pytest.mark.parametrize("name", ["model.layers.1.mlp.down_proj.weight", "model.norm.weight"])
def test_a_tensor_that_is_missing_is_named(name: str, llama: Path, tmp_path: Path) -> None:
    def remove(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[name]

    directory = with_tensors(llama, tmp_path / "other", remove)
    with pytest.raises(ProgramFailed, match=f"transformers would fill {name} with random values"):
        LayeredReference(directory, is_text=True, tokens=3).run_all([np.array([1, 2, 3])])


TESTS = Path(__file__).resolve().parents[1]
LAYERS, CHANNELS, NEURONS = 12, 384, 4096
OF_LAYER = 4 * (4 * CHANNELS**2 + 3 * CHANNELS * NEURONS)  # bytes in float32
RUN = """
import sys, pathlib, threading, time, numpy, torch
sys.path.append(sys.argv[3])
from actsweep.verify import layered, reference
from support.private_memory import SAMPLE_S, rss_anon_bytes
torch.set_num_threads(1)
peak = 0

def look(*_given):
    global peak
    peak = max(peak, rss_anon_bytes("self"))

def look_now_and_then():
    while True:
        look()
        time.sleep(SAMPLE_S)

threading.Thread(target=look_now_and_then, daemon=True).start()
torch.nn.modules.module.register_module_forward_pre_hook(look)
kind = layered.LayeredReference if sys.argv[2] == "layered" else reference.Reference
kind(pathlib.Path(sys.argv[1]), is_text=True, tokens=8).run_all([numpy.arange(8), numpy.arange(5)])
print(peak)
"""


def write_wide(directory: Path, layers: int) -> Path:
    """In bfloat16, so that float32 weights are a process' own and no pages of the file."""
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=CHANNELS, intermediate_size=NEURONS, num_hidden_layers=layers,
        num_attention_heads=4, tie_word_embeddings=True,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(directory, max_shard_size="40MB")
    return directory


def test_memory_is_that_of_a_few_layers(tmp_path: Path) -> None:
    """Above a run of a model of one small layer: fewer than four layers, where the whole model takes all.

    The process looks at its own memory whenever a part of the model runs, so that no moment is missed on a
    loaded machine, and now and then, which finds what only loading takes."""
    few, many = (write_wide(tmp_path / str(count), count) for count in (1, LAYERS))

    def peak(directory: Path, kind: str) -> int:
        command = [sys.executable, "-c", RUN, directory, kind, TESTS]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    start = peak(few, "layered") - 2 * OF_LAYER  # of what is loaded with it: libraries, and no weights
    assert peak(many, "layered") - start < 4 * OF_LAYER
    assert peak(many, "whole") - start > 0.9 * LAYERS * OF_LAYER
