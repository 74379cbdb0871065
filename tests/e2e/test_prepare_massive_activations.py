"""data/prepare_model.py massive_activations: checkpoints in the form of the paper's code, which are
made here, against the mathematics of section 5 and transformers' GPT-2."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import GPT2LMHeadModel

import support.gpt2_variants  # noqa: F401 (registers "extra_key")
from preparing import assert_refused, run, run_well
from preparation.errors import PreparationError
from preparation.massive_activations import convert

LAYERS, HEADS, CHANNELS, POSITIONS, VOCABULARY = 3, 5, 40, 24, 67
WIDTH = CHANNELS // HEADS
ARGUMENTS = {"n_layer": LAYERS, "n_head": HEADS, "n_embd": CHANNELS, "block_size": POSITIONS}
ARGUMENTS |= {"vocab_size": VOCABULARY, "dropout": 0.0}
VARIANTS = ("default", "kv_bias", "sink_token")

State = dict[str, torch.Tensor]


def make_state(variant: str, has_bias: bool) -> State:
    """Random parameters, by the names and shapes of the paper's code."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    state = {"transformer.wte.weight": normal(VOCABULARY, CHANNELS)}
    state["transformer.wpe.weight"] = normal(POSITIONS, CHANNELS)
    norms, linears = ["transformer.ln_f"], {}
    for layer in range(LAYERS):
        begin = f"transformer.h.{layer}."
        norms += [f"{begin}ln_1", f"{begin}ln_2"]
        linears[f"{begin}attn.c_attn"] = (3 * CHANNELS, CHANNELS)
        linears[f"{begin}attn.c_proj"] = (CHANNELS, CHANNELS)
        linears[f"{begin}mlp.c_fc"] = (4 * CHANNELS, CHANNELS)
        linears[f"{begin}mlp.c_proj"] = (CHANNELS, 4 * CHANNELS)
        if variant == "kv_bias":
            for name in ("k_bias", "v_bias"):
                state[f"{begin}attn.{name}"] = 3 * normal(1, HEADS, 1, WIDTH)
    for name in norms:
        state[f"{name}.weight"] = 1 + normal(CHANNELS)
        state |= {f"{name}.bias": normal(CHANNELS)} if has_bias else {}
    for name, shape in linears.items():
        state[f"{name}.weight"] = normal(*shape)
        state |= {f"{name}.bias": normal(shape[0])} if has_bias else {}
    if variant == "sink_token":
        state["reg_token"] = 3 * normal(1, 1, CHANNELS)
    return state | {"lm_head.weight": state["transformer.wte.weight"]}


def save(path: Path, state: State, **changes: Any) -> Path:
    """As the paper's training saves it, with an optimiser and the prefix of torch.compile."""
    stored = {
        "model": {f"_orig_mod.{name}": values for name, values in state.items()},
        "optimizer": {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": 6e-4}]},
        "model_args": ARGUMENTS,
        "iter_num": 50000,
        "best_val_loss": torch.tensor(3.04),
        "config": {"batch_size": 12, "compile": False, "out_dir": "results/"},
    }
    torch.save(stored | changes, path)
    return path


def reference_states(state: State, ids: torch.Tensor) -> list[torch.Tensor]:
    """What enters each block and what leaves the last, then the logits; by the formulas."""

    def norm(name: str, values: torch.Tensor) -> torch.Tensor:
        bias = state.get(f"{name}.bias")
        return functional.layer_norm(values, (CHANNELS,), state[f"{name}.weight"], bias, 1e-5)

    def linear(name: str, values: torch.Tensor) -> torch.Tensor:
        return functional.linear(values, state[f"{name}.weight"], state.get(f"{name}.bias"))

    residual = state["transformer.wte.weight"][ids] + state["transformer.wpe.weight"][: len(ids)]
    has_sink = "reg_token" in state
    if has_sink:
        residual = torch.cat([state["reg_token"][0], residual])
    states = [residual]
    for layer in range(LAYERS):
        begin = f"transformer.h.{layer}."
        mixed = linear(f"{begin}attn.c_attn", norm(f"{begin}ln_1", residual))
        query, key, value = (part.unflatten(1, (HEADS, WIDTH)) for part in mixed.chunk(3, dim=1))
        scores = torch.einsum("qhd,khd->hqk", query, key) / WIDTH**0.5
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -torch.inf).exp()
        total = weights.sum(-1)
        output = torch.einsum("hqk,khd->hqd", weights, value)
        if f"{begin}attn.k_bias" in state:
            own_key, own_value = (state[f"{begin}attn.{n}"][0, :, 0] for n in ("k_bias", "v_bias"))
            own = (torch.einsum("qhd,hd->hq", query, own_key) / WIDTH**0.5).exp()
            total = total + own
            output = output + own[:, :, None] * own_value[:, None]
        output = (output / total[:, :, None]).transpose(0, 1).flatten(1)
        residual = residual + linear(f"{begin}attn.c_proj", output)
        hidden = functional.gelu(linear(f"{begin}mlp.c_fc", norm(f"{begin}ln_2", residual)))
        residual = residual + linear(f"{begin}mlp.c_proj", hidden)
        states.append(residual)
    last = norm("transformer.ln_f", residual)[1 if has_sink else 0 :]
    return [*states, last @ state["lm_head.weight"].T]


def transformers_states(directory: Path, variant: str, ids: torch.Tensor) -> list[torch.Tensor]:
    """As `reference_states`, by transformers' GPT-2 with the addition of the variant."""
    model, information = GPT2LMHeadModel.from_pretrained(directory, output_loading_info=True)
    assert not information["missing_keys"] and not information["mismatched_keys"]
    extra = {name: values for name, values in load_file(directory / "model.safetensors").items()}
    if variant == "kv_bias":
        model.set_attn_implementation("extra_key")
        for layer, block in enumerate(model.transformer.h):
            block.attn.k_bias = extra[f"transformer.h.{layer}.attn.k_bias"]
            block.attn.v_bias = extra[f"transformer.h.{layer}.attn.v_bias"]
    states: list[torch.Tensor] = []
    for module in (*(block for block in model.transformer.h), model.transformer.ln_f):
        module.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0][0]))
    embedding = model.transformer.wte(ids)
    places = torch.arange(len(ids))
    skipped = 0
    if variant == "sink_token":
        own = extra["transformer.sink_token"] - model.transformer.wpe.weight[0]
        embedding = torch.cat([own[None], embedding])
        places = torch.cat([places[:1], places])
        skipped = 1
    with torch.inference_mode():
        output = model.eval()(inputs_embeds=embedding[None], position_ids=places[None])
    return [*states, output.logits[0, skipped:]]


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_states_are_the_formulas(variant: str, has_bias: bool, tmp_path: Path) -> None:
    state = make_state(variant, has_bias)
    path = save(tmp_path / "ckpt.pt", state)
    convert(path, tmp_path / "model", "float32", variant)
    ids = torch.randint(VOCABULARY, (POSITIONS,), generator=torch.Generator().manual_seed(1))
    expected = reference_states(state, ids)
    found = transformers_states(tmp_path / "model", variant, ids)
    assert len(found) == len(expected) == LAYERS + 2
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_checkpoint_has_the_described_form(variant: str, tmp_path: Path) -> None:
    state = make_state(variant, has_bias=False)
    path = save(tmp_path / "ckpt.pt", state)
    directory = tmp_path / "model"
    convert(path, directory, "bfloat16", variant)
    config = json.loads((directory / "config.json").read_text())
    expected = {"model_type": "gpt2", "n_layer": LAYERS, "n_head": HEADS, "n_embd": CHANNELS}
    expected |= {"n_positions": POSITIONS, "vocab_size": VOCABULARY, "activation_function": "gelu"}
    expected |= {"tie_word_embeddings": True, "layer_norm_epsilon": 1e-5}
    assert {key: config[key] for key in expected} == expected
    assert config.get("attention_bias_kv", False) is (variant == "kv_bias")
    assert config.get("sink_token", False) is (variant == "sink_token")
    tensors = load_file(directory / "model.safetensors")
    plain = set(GPT2LMHeadModel.from_pretrained(directory).state_dict()) - {"lm_head.weight"}
    extra = {"default": {}, "sink_token": {"transformer.sink_token": state.get("reg_token")}}
    extra["kv_bias"] = {n: v for n, v in state.items() if n.endswith(("k_bias", "v_bias"))}
    assert set(tensors) == plain | set(extra[variant])
    for name, values in extra[variant].items():
        shape = (CHANNELS,) if variant == "sink_token" else (HEADS, WIDTH)
        assert torch.equal(tensors[name], values.reshape(shape).to(torch.bfloat16)), name
    assert not tensors["transformer.h.0.mlp.c_fc.bias"].any()


def test_untied_head_is_kept(tmp_path: Path) -> None:
    state = make_state("default", has_bias=True)
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    path = save(tmp_path / "ckpt.pt", state)
    directory = tmp_path / "model"
    run_well("prepare_model.py", "massive_activations", path, directory, "--variant", "default")
    model = GPT2LMHeadModel.from_pretrained(directory)
    assert torch.equal(model.lm_head.weight, state["lm_head.weight"])
    assert torch.equal(model.transformer.wte.weight, state["transformer.wte.weight"])


class Harmful:
    """What a loader that runs code would run."""

    def __init__(self, trace: Path) -> None:
        self._trace = str(trace)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self._trace,)


def refuse(path: Path, variant: str, *words: str) -> None:
    with pytest.raises(PreparationError) as caught:
        convert(path, path.with_name("model"), "float32", variant)
    assert caught.value.exit_code == 4
    for word in (path.name, *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(path.parent.glob("model*"))


def test_refusal_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    path = save(tmp_path / "c.pt", make_state("kv_bias", False))
    command = ("massive_activations", path, tmp_path / "model", "--variant", "sink_token")
    assert_refused(run("prepare_model.py", *command), 4, "c.pt", "--variant kv_bias")


def test_code_in_the_file_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for legacy in (False, True):
        stored = {"model": make_state("default", False), "model_args": Harmful(trace)}
        torch.save(stored, tmp_path / "bad.pt", _use_new_zipfile_serialization=not legacy)
        refuse(tmp_path / "bad.pt", "default", "only tensors and numbers", "mkdir")
        assert not trace.exists()


@pytest.mark.parametrize(
    ("made", "asked"), [(made, asked) for made in VARIANTS for asked in VARIANTS if made != asked]
)
def test_other_variant_is_refused(made: str, asked: str, tmp_path: Path) -> None:
    refuse(save(tmp_path / "c.pt", make_state(made, False)), asked, f"--variant {made}", asked)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": None}, ['"model"']),
        ({"model_args": None}, ['"model_args"']),
        ({"model_args": ARGUMENTS | {"n_head": 7}}, ["40 channels", "7 heads"]),
        ({"model_args": ARGUMENTS | {"n_layer": 0}}, ["n_layer", "0"]),
        ({"model_args": ARGUMENTS | {"n_head": True}}, ["n_head", "True"]),
        ({"model": {"a": 1}}, ["'a'", "dense weights of real numbers"]),
        ({"model": {1: torch.ones(2)}}, ["1: torch.float32", "dense weights"]),
        ({"model": {"a": torch.ones(2, dtype=torch.int8)}}, ["a: torch.int8", "real numbers"]),
        ({"model": {"a": torch.ones(2).to_sparse()}}, ["a: torch.float32", "dense"]),
        ({"model_args": ARGUMENTS | {"n_layer": 4}}, ["no tensor", "transformer.h.3.ln_1.weight"]),
        ({"model_args": ARGUMENTS | {"n_layer": 2}}, ["unknown tensor", "transformer.h.2."]),
        ({"model_args": ARGUMENTS | {"block_size": 9}}, ["wpe", "(24, 40)", "(9, 40)"]),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    refuse(save(tmp_path / "c.pt", make_state("default", False), **changes), "default", *words)


def test_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "c.pt", make_state("default", False)).read_bytes()
    for size in (0, 100, len(whole) // 2):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        refuse(tmp_path / "cut.pt", "default")
    (tmp_path / "text.pt").write_text("weights")
    refuse(tmp_path / "text.pt", "default")
    refuse(tmp_path / "none.pt", "default", "no such file")
    torch.save(torch.from_numpy(np.arange(3)), tmp_path / "tensor.pt")
    refuse(tmp_path / "tensor.pt", "default", '"model"')
