"""data/prepare_model.py gguf: its checkpoints against transformers, and what it refuses."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from preparing import SMOLLM2, assert_refused, run, run_well
from support.compatibility import Compatibility
from whole_models import load_whole


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("gguf") / "smollm2"
    run_well("prepare_model.py", "gguf", SMOLLM2, directory)
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
    run_well("prepare_model.py", "gguf", SMOLLM2, tmp_path / "model", "--dtype", "bfloat16")
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
    assert "<|im_start|>user\nhello<|im_end|>" in tokenizer.apply_chat_template(
        chat, tokenize=False
    )


def test_gguf_tokenizer_splits_digits(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert tokenizer.tokenize("In 2004") == ["In", "Ġ", "2", "0", "0", "4"]


def test_existing_directory_is_refused(smollm2: Path) -> None:
    assert_refused(run("prepare_model.py", "gguf", SMOLLM2, smollm2), 6, str(smollm2), "exists")


@pytest.mark.parametrize("command", ["gguf", "onnx", "massive_activations"])
def test_git_lfs_pointer_is_named_with_its_cure(
    command: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = tmp_path / "model.bin"
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    )
    options = ["--variant", "default"] if command == "massive_activations" else []
    result = run("prepare_model.py", command, path, tmp_path / "out", *options)
    assert_refused(result, 4, "model.bin: found a Git LFS pointer", "`git lfs pull`")
    kind = "GGUF files" if command == "gguf" else "Checkpoints"
    what = {"gguf": "GGUF file", "onnx": "ONNX file", "massive_activations": "`.pt`"}[command]
    compatibility(kind, f"{what} that is a Git LFS pointer", "refused", result.stderr)


def test_second_run_leaves_the_first_alone(tmp_path: Path, compatibility: Compatibility) -> None:
    """A folder that another process holds is not removed; one that nobody holds is."""
    partial = tmp_path / "model.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half a file")
    write_gguf(tmp_path / "m.gguf")
    number = os.open(partial, os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_EX)
    result = run("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert_refused(result, 6, "model.partial is being written by another run")
    assert (partial / "model.safetensors").read_bytes() == b"half a file"
    compatibility("Outputs", "two runs of prepare_model.py into one folder", "refused", result.stderr)
    os.close(number)
    run_well("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert not partial.exists()


# Small GGUF files, written here.


def write_gguf(path: Path, changes: dict[str, object] | None = None, tied: bool = False) -> None:
    """A llama of 2 layers with 2 heads of width 4 over 1 key/value head; `changes` spoil it."""
    fields = {
        "architecture": "llama",
        "pre": "smollm",
        "model": "gpt2",
        "extra": None,
        "omit": None,
    }
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
    run_well("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    model = load_whole(tmp_path / "model", torch.float32)
    assert model.config.tie_word_embeddings is tied
    same = torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert same is tied


def test_gguf_bos_is_added_where_the_file_says_so(tmp_path: Path) -> None:
    for add_bos, expected in ((True, [0, 3, 4]), (False, [3, 4])):
        path = tmp_path / f"{add_bos}.gguf"
        write_gguf(path, {"add_bos": add_bos})
        run_well("prepare_model.py", "gguf", path, tmp_path / str(add_bos))
        assert AutoTokenizer.from_pretrained(tmp_path / str(add_bos))("ab!!").input_ids == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "rwkv7"}, ["architecture", "rwkv7", "llama"]),
        ({"model": "llama"}, ["no field", "tokenizer.ggml.scores"]),
        ({"merges": ["a z"]}, ["merge", "z"]),
        ({"omit": "blk.1.attn_q"}, ["no tensor", "blk.1.attn_q.weight"]),
        ({"extra": {"other": (2,)}}, ["unknown tensor", "other.weight"]),
        ({"extra": {"rope_freqs": (2,)}}, ["rope_freqs.weight", "other factors"]),
        ({"extra": {"blk.0.attn_k": (8, 8)}}, ["blk.0.attn_k.weight", "(8, 8)", "(4, 8)"]),
        ({"scaling": gguf.RopeScalingType.LONGROPE}, ["rope.scaling.type", "longrope", "none"]),
    ],
)
def test_gguf_that_does_not_fit_is_refused(
    changes: dict[str, object], words: list[str], tmp_path: Path
) -> None:
    write_gguf(tmp_path / "m.gguf", changes)
    assert_refused(
        run("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model"),
        4,
        "m.gguf",
        *words,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pre": "other-pre"}, ["tokenizer.ggml.pre", "other-pre", "smollm"]),
        ({"model": "bert"}, ["tokenizer.ggml.model", "bert", "gpt2"]),
    ],
)
def test_gguf_of_an_unknown_tokenizer_has_its_weights(
    changes: dict[str, object], words: list[str], tmp_path: Path
) -> None:
    write_gguf(tmp_path / "m.gguf", changes)
    result = run("prepare_model.py", "gguf", tmp_path / "m.gguf", tmp_path / "model")
    assert result.returncode == 0
    for word in ("warning: no tokenizer is written", *words):
        assert word in result.stderr
    assert not list((tmp_path / "model").glob("tokenizer*"))
    assert load_whole(tmp_path / "model", torch.float32).config.num_hidden_layers == 2


def test_gguf_truncated_or_missing_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 40):
        (tmp_path / "cut.gguf").write_bytes(whole[:size])
        assert_refused(
            run("prepare_model.py", "gguf", tmp_path / "cut.gguf", tmp_path / "model"),
            4,
            "cut.gguf",
        )
    assert_refused(
        run("prepare_model.py", "gguf", tmp_path / "none.gguf", tmp_path / "model"),
        4,
        "no such file",
    )
    assert not (tmp_path / "model").exists()
