"""llama.cpp's own tools read our importance matrices, and write the same ones.

For SmolLM2 and for a random Mixtral: `llama-imatrix` over the text that we sweep writes the tensors,
counts and sums of squares that `actsweep export imatrix` writes, and `llama-quantize` takes ours.
`make check-imatrix` builds the tools (scripts/build_llama_cpp) and sets ACTSWEEP_LLAMA_CPP.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
import pytest
from support.llama_cpp import converter, importance, read_gguf, run_tool, tools, write_topics
from support.sweeps import Sweep

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / "models/smollm2-135m-instruct"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
WINDOW_TOKENS = 256
WINDOWS = 8
# Of Python's topics. Every token's second and third expert are 8e-5 apart here, where logits differ
# by 1e-6 between programs: all choose the same experts.
TEXT = slice(200_000, 260_000)
# Widths are multiples of 256, as the types of fewest bits need; they are refused without a matrix.
MIXTRAL = {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "vocab_size": 49152,
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3,
    "num_attention_heads": 8, "num_key_value_heads": 4, "num_local_experts": 4,
    "num_experts_per_tok": 2, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 1024, "bos_token_id": 1, "eos_token_id": 2,
    "tie_word_embeddings": False, "hidden_act": "silu", "torch_dtype": "float32",
}  # fmt: skip


class Subject(NamedTuple):
    """A model as GGUF in float32, and two importance matrices of it from the same tokens."""

    model: Path
    ours: Path
    theirs: Path


def make_mixtral(folder: Path) -> Path:
    config = folder / "mixtral.json"
    config.write_text(json.dumps(MIXTRAL))
    run_tool(sys.executable, ROOT / "data/prepare_model.py", "random", config, folder / "mixtral")
    for name in TOKENIZER:
        if (SMOLLM2 / name).exists():
            shutil.copy(SMOLLM2 / name, folder / "mixtral" / name)
    return folder / "mixtral"


@pytest.fixture(scope="module", params=["smollm2", "mixtral"])
def subject(
    request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    folder = tmp_path_factory.mktemp(request.param)
    routed = request.param == "mixtral"
    model = make_mixtral(folder) if routed else SMOLLM2
    text = write_topics(folder / "text.txt", TEXT)
    corpus, sweep, ours = folder / "corpus.h5", folder / "sweep.h5", folder / "ours.gguf"
    run_tool(sys.executable, ROOT / "data/prepare_corpus.py", "--tokenizer", model, "--output", corpus,
        text)  # fmt: skip
    sites = ["attention_input", "attention_heads", "mlp_input", *([] if routed else ["mlp_hidden"])]
    job = {
        "model": {"path": str(model)},
        "corpus": {"path": str(corpus), "sequence_length": WINDOW_TOKENS, "max_sequences": WINDOWS},
        "statistics": {"sites": sites, "experts": routed, "expert_inputs": routed},
        "output": {"path": str(sweep), "per_token": "none"},
    }
    Sweep(program, job, ranks=2).run()
    run_tool(sys.executable, "-m", "actsweep", "export", "imatrix", sweep, ours)

    file, theirs = folder / "model.gguf", folder / "theirs.gguf"
    run_tool(sys.executable, *converter(model, "f32", file))
    run_tool(
        *importance(file, text, theirs, WINDOW_TOKENS, WINDOWS), "-b", WINDOW_TOKENS,
        "--cache-type-k", "f32", "--cache-type-v", "f32", "-fa", "off",
    )  # fmt: skip
    return Subject(file, ours, theirs)


def test_sums_and_counts_are_those_of_llama_imatrix(subject: Subject) -> None:
    ours, theirs = read_gguf(subject.ours), read_gguf(subject.theirs)
    # A version of llama-imatrix that does not write the sums of values yet has none of them.
    has_sums = any(name.endswith(".in_sum") for name in theirs)
    names = {name for name in ours if has_sums or not name.endswith(".in_sum")}
    assert names == theirs.keys()
    for name in names:
        found = ours[name].reshape(theirs[name].shape)
        if name.endswith(".counts"):
            np.testing.assert_array_equal(found, theirs[name], err_msg=name)
        elif name.endswith(".in_sum"):  # of terms that cancel: a part of √(n Σx²)
            squares, counts = (ours[name[: -len("in_sum")] + part] for part in ("in_sum2", "counts"))
            terms = np.sqrt(counts.reshape(-1, 1) * squares.reshape(len(counts), -1))
            assert (np.abs(found - theirs[name]) <= 1e-4 * terms.reshape(found.shape)).all(), name
        else:
            np.testing.assert_allclose(found, theirs[name], rtol=1e-4, err_msg=name)


def quantise(subject: Subject, kind: str, output: Path, *options: object) -> str:
    return run_tool(tools() / "build/bin/llama-quantize", *options, subject.model, output, kind)


def different(one: np.ndarray, other: np.ndarray) -> float:
    """The share of bytes that differ; 1 for arrays of different types of quantisation."""
    return float((one != other).mean()) if one.shape == other.shape else 1.0


def test_llama_quantize_takes_every_entry(subject: Subject, tmp_path: Path) -> None:
    """Weights by our matrix are those by llama-imatrix's but for rounding, unlike those without."""
    names = [name[: -len(".counts")] for name in read_gguf(subject.ours) if name.endswith(".counts")]
    log = quantise(subject, "Q4_K_M", tmp_path / "ours.gguf", "--imatrix", subject.ours)
    assert f"have {len(names)} importance matrix entries" in log
    missed = set(re.findall(r"did not find weights for (\S+)", log))
    assert missed <= {"output.weight", "token_embd.weight"}  # llama-imatrix leaves them out as well

    quantise(subject, "Q4_K_M", tmp_path / "theirs.gguf", "--imatrix", subject.theirs)
    quantise(subject, "Q4_K_M", tmp_path / "without.gguf")
    ours, theirs, without = (
        read_gguf(tmp_path / f"{name}.gguf") for name in ("ours", "theirs", "without")
    )
    near = {name: different(ours[name], theirs[name]) for name in names}
    assert max(near.values()) < 0.01, near  # 0.002 measured
    heeding = [name for name in names if different(theirs[name], without[name]) > 0]
    far = {name: different(ours[name], without[name]) for name in heeding}
    assert len(heeding) > 0.8 * len(names)  # some types of quantisation use no matrix
    assert all(far[name] > 5 * near[name] for name in heeding), (near, far)
    assert np.median(list(far.values())) > 0.1, far  # 0.2 and 0.28 measured


@pytest.mark.parametrize("subject", ["mixtral"], indirect=True)
def test_types_that_need_a_matrix_take_ours(subject: Subject, tmp_path: Path) -> None:
    output = tmp_path / "few_bits.gguf"
    with pytest.raises(AssertionError, match="requires an imatrix"):
        quantise(subject, "IQ2_XS", output)
    quantise(subject, "IQ2_XS", output, "--imatrix", subject.ours)
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(output).tensors}
    assert types["blk.1.ffn_up_exps.weight"] == types["blk.1.ffn_gate_exps.weight"] == "IQ2_XS"
