"""data/prepare_model.py random: fits transformers, in little memory, whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from preparing import DATA, MIB, assert_refused, peak_memory_bytes, run, run_well
from preparation.checkpoint_writer import to_bytes
from support.real_configs import REAL_CONFIGS
from support.watching import wait_for_end, wait_until
from whole_models import load_whole

PROGRAM = Path(os.environ.get("ACTSWEEP_PROGRAM", DATA.parent / "build" / "actsweep"))
TINY = {
    "vocab_size": 67,
    "hidden_size": 24,
    "intermediate_size": 56,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "initializer_range": 0.05,
}

RANDOM_CONFIGS = {
    "llama": TINY | {"model_type": "llama"},
    "llama_biases": TINY | {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "mixtral": TINY
    | {"model_type": "mixtral", "num_local_experts": 5, "num_experts_per_tok": 2},
    "qwen2": TINY | {"model_type": "qwen2", "tie_word_embeddings": True},
}
# A model of 70B parameters, shortened to what a test needs of its config.json.
LARGE_MOE = {
    "model_type": "qwen3_moe",
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 94,
    "num_attention_heads": 64,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 1536,
    "mlp_only_layers": [1, 90],
    "bos_token_id": 151643,
}
NAMED = ("--program", PROGRAM)


def make(*arguments: object) -> str:
    return run_well("prepare_model.py", "random", *arguments, *NAMED)


def refuse(code: int, *arguments: object, words: Sequence[str]) -> None:
    """One line, and no directory."""
    assert_refused(run("prepare_model.py", "random", *arguments, *NAMED), code, *words)
    assert not Path(str(arguments[1])).exists()


def write_config(path: Path, config: dict[str, object]) -> Path:
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", RANDOM_CONFIGS)
def test_random_fits_transformers_exactly(name: str, dtype: str, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS[name])
    make(config, tmp_path / "model", "--dtype", dtype)
    model = load_whole(tmp_path / "model", getattr(torch, dtype))
    with torch.inference_mode():
        assert torch.isfinite(model(torch.tensor([[1, 2, 3]])).logits).all()
    for parameter_name, values in model.named_parameters():
        values = values.float()
        if "norm" in parameter_name:
            assert torch.equal(values, torch.ones_like(values)), parameter_name
        elif values.numel() > 400:
            assert values.std().item() == pytest.approx(0.05, rel=0.2), parameter_name


def test_random_shards_hold_the_single_file(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS["qwen2"])
    make(config, tmp_path / "whole")
    make(config, tmp_path / "sharded", "--shard-bytes", 9000)
    index = json.loads((tmp_path / "sharded" / "model.safetensors.index.json").read_text())
    shards = sorted((tmp_path / "sharded").glob("*.safetensors"))
    assert len(shards) > 3
    assert shards[0].name == f"model-00001-of-{len(shards):05d}.safetensors"
    held: dict[str, str] = {}
    size = 0
    with safe_open(tmp_path / "whole" / "model.safetensors", framework="np") as whole:
        for shard in shards:
            with safe_open(shard, framework="np") as file:
                assert sum(file.get_tensor(name).nbytes for name in file.keys()) <= 9000
                for name in file.keys():
                    held[name] = shard.name
                    size += file.get_tensor(name).nbytes
                    assert np.array_equal(file.get_tensor(name), whole.get_tensor(name)), name
        assert held.keys() == set(whole.keys())
    assert index["weight_map"] == held
    assert index["metadata"]["total_size"] == size
    load_whole(tmp_path / "sharded", torch.float32)


def test_random_is_the_seed_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS["llama"])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make(config, tmp_path / name, "--seed", seed)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]


def test_random_rows_differ(tmp_path: Path) -> None:
    """Past the pool's length too: 9.4 Mi elements in rows of a power of two."""
    changes = {
        "model_type": "llama",
        "vocab_size": 9200,
        "hidden_size": 1024,
        "num_hidden_layers": 1,
    }
    changes |= {"num_attention_heads": 4, "intermediate_size": 8}
    config = write_config(tmp_path / "config.json", TINY | changes)
    make(config, tmp_path / "model")
    with safe_open(tmp_path / "model" / "model.safetensors", framework="np") as file:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            assert len(np.unique(file.get_tensor(name), axis=0)) == 9200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "t5"}, ["model_type", "t5", "one of"]),
        ({"hidden_size": "24"}, ["hidden_size", '"24"', "a whole number"]),
        ({"model_type": "gpt2", "add_cross_attention": True}, ["add_cross_attention", "false"]),
    ],
)
def test_random_config_that_does_not_fit_is_refused_in_the_words_of_the_program(
    changes: dict[str, object], words: list[str], tmp_path: Path
) -> None:
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS["llama"] | changes)
    refuse(4, config, tmp_path / "model", words=["config.json", *words])


def test_random_without_a_config_or_a_program_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    refuse(4, tmp_path / "none.json", model, words=["no such file"])
    for text, words in (("{", "is not JSON: line 1, column 2"), ("[" * 100_000, "nested too deeply")):
        (tmp_path / "bad.json").write_text(text)
        refuse(4, tmp_path / "bad.json", model, words=["bad.json", words])
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS["llama"])
    nowhere = run("prepare_model.py", "random", config, model, "--program", tmp_path / "none")
    assert_refused(nowhere, 2, "none", "expected the program actsweep")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--massive", 24), ["--massive", "channel", "below 24", "found 24"]),
        (("--massive", 3), ["bos_token_id", "--massive-token"]),
        (("--massive", 3, "--massive-token", 67), ["--massive-token", "below 67", "found 67"]),
    ],
)
def test_massive_activation_outside_the_model_is_refused(
    options: tuple[object, ...], words: list[str], tmp_path: Path
) -> None:
    config = RANDOM_CONFIGS["llama"] | {"bos_token_id": None}
    path = write_config(tmp_path / "config.json", config)
    refuse(2, path, tmp_path / "model", *options, words=words)


def test_massive_activation_changes_one_element(tmp_path: Path) -> None:
    """That of the token which begins sequences; across the chunks of the pool too."""
    config = RANDOM_CONFIGS["llama"] | {"bos_token_id": 66}
    path = write_config(tmp_path / "config.json", config)
    make(path, tmp_path / "plain")
    make(path, tmp_path / "massive", "--massive", 5, "--massive-magnitude", 777)
    with (
        safe_open(tmp_path / "plain" / "model.safetensors", framework="np") as plain,
        safe_open(tmp_path / "massive" / "model.safetensors", framework="np") as massive,
    ):
        for name in plain.keys():
            expected = plain.get_tensor(name)
            if name == "model.embed_tokens.weight":
                expected[66, 5] = 777
            assert np.array_equal(massive.get_tensor(name), expected), name


def test_shrunk_model_has_the_ratios_and_switches_of_the_large_one(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", LARGE_MOE)
    make(config, tmp_path / "model", "--shrink")
    small = json.loads((tmp_path / "model" / "config.json").read_text())
    assert {key: small[key] for key in LARGE_MOE} == {
        "model_type": "qwen3_moe",
        "vocab_size": 1000,
        "hidden_size": 64,  # half of the heads' width, as in the large one
        "intermediate_size": 192,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_experts": 16,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 24,
        "mlp_only_layers": [1],
        "bos_token_id": 643,
    }
    load_whole(tmp_path / "model", torch.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "deepseek-ai/DeepSeek-V3",  # latents: no width of a head that another key gives
            {"head_dim": None, "qk_nope_head_dim": 10, "qk_rope_head_dim": 6, "v_head_dim": 10},
        ),
        (
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
            {"hybrid_override_pattern": "MEMEM*EM", "num_hidden_layers": 8, "mamba_num_heads": 16},
        ),
        (
            "tiiuae/Falcon-H1-0.5B-Base",
            {"mamba_n_heads": 2, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_d_ssm": 32, "head_dim": 16},
        ),
    ],
)
def test_shrunk_model_of_latents_and_states(
    name: str, expected: dict[str, object], tmp_path: Path
) -> None:
    path = next(real.path for real in REAL_CONFIGS if real.name == name)
    make(path, tmp_path / "model", "--shrink")
    small = json.loads((tmp_path / "model" / "config.json").read_text())
    assert {key: small.get(key) for key in expected} == expected
    load_whole(tmp_path / "model", torch.float32)


def test_shrunk_model_without_heads_has_few_channels(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", {"model_type": "mamba", "hidden_size": 768})
    make(config, tmp_path / "model", "--shrink")
    small = json.loads((tmp_path / "model" / "config.json").read_text())
    assert small["hidden_size"] == 128 and "num_attention_heads" not in small
    load_whole(tmp_path / "model", torch.float32)


LARGE = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632}
LARGE |= {"num_hidden_layers": 20, "num_attention_heads": 32, "num_key_value_heads": 32}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_leaves_no_directory(number: signal.Signals, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", LARGE)
    process = subprocess.Popen(
        [
            sys.executable,
            str(DATA / "prepare_model.py"),
            "random",
            str(config),
            str(tmp_path / "model"),
            *map(str, NAMED),
        ]
    )
    wait_until(lambda: list(tmp_path.glob("model.partial/*.safetensors")), process, [tmp_path])
    process.send_signal(number)
    wait_for_end(process, [tmp_path])
    assert process.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM)
    assert not (tmp_path / "model").exists()
    assert (tmp_path / "model.partial").exists() is (number == signal.SIGKILL)
    small = write_config(tmp_path / "small.json", RANDOM_CONFIGS["llama"])
    make(small, tmp_path / "model")
    load_whole(tmp_path / "model", torch.float32)
    assert not (tmp_path / "model.partial").exists()


@pytest.mark.slow
def test_random_of_2_gb_takes_under_500_mib(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", LARGE)
    options = ("--dtype", "bfloat16", "--shard-bytes", 1_000_000_000)
    peak = peak_memory_bytes("prepare_model.py", "random", config, tmp_path / "model", *options, *NAMED)
    assert peak < 500 * MIB
    shards = list((tmp_path / "model").glob("*.safetensors"))
    assert len(shards) == 3
    assert sum(shard.stat().st_size for shard in shards) > 2_000_000_000


@pytest.mark.parametrize(
    ("values", "expected_bits"),
    [
        ([1.0, -2.5, 0.0], [0x3F80, 0xC020, 0x0000]),
        ([1.00390625, 1.01171875], [0x3F80, 0x3F82]),  # halfway: to the even neighbour
        ([3.4e38, np.inf], [0x7F80, 0x7F80]),
    ],
)
def test_bfloat16_bits(values: list[float], expected_bits: list[int]) -> None:
    array = np.array(values, dtype=np.float32)
    assert np.frombuffer(to_bytes(array, "bfloat16"), dtype="<u2").tolist() == expected_bits
    tensor = torch.tensor(values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert tensor.tolist() == expected_bits


def test_bfloat16_keeps_nan() -> None:
    array = np.array([0x7FFFFFFF, 0x7F800001, 0xFFFFFFFF], dtype=np.uint32).view(np.float32)
    bits = np.frombuffer(to_bytes(array, "bfloat16"), dtype="<u2").astype(np.uint32) << 16
    assert np.isnan(bits.view(np.float32)).all()
