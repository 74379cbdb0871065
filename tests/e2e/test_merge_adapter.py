"""data/prepare_model.py merge_adapter: W + s B A, by NumPy in double precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from preparing import refusal_of, run_well
from preparation import merged_checkpoint
from support.compatibility import Compatibility
from support.gguf_architectures import CASES
from support.gguf_files import llama
from whole_models import load_whole

BEGIN = "base_model.model."
CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]}
Tensors = dict[str, torch.Tensor]


def write_base(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Tensors:
    llama().to(dtype).save_pretrained(folder, **options)
    return tensors_in(folder)


def tensors_in(folder: Path) -> Tensors:
    found: Tensors = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


def factors(base: Tensors, module: str, rank: int, seed: int = 0) -> Tensors:
    rows, columns = base[f"{module}.weight"].shape
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{BEGIN}{module}.lora_A.weight": torch.randn(rank, columns, generator=generator),
        f"{BEGIN}{module}.lora_B.weight": torch.randn(rows, rank, generator=generator),
    }


def write_adapter(folder: Path, tensors: Tensors, **config: Any) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    return folder


def product(tensors: Tensors, module: str) -> np.ndarray:
    a, b = (tensors[f"{BEGIN}{module}.lora_{which}.weight"].double().numpy() for which in "AB")
    return b @ a


def merged(base: Path, adapter: Path, folder: Path) -> Tensors:
    merged_checkpoint.convert(base, adapter, folder, None)
    return tensors_in(folder)


def assert_changed(found: Tensors, base: Tensors, changes: dict[str, np.ndarray]) -> None:
    """By these changes of modules, rounded once; all others are the base's to the bit."""
    assert found.keys() == base.keys()
    for name, values in base.items():
        module = name.removesuffix(".weight")
        assert found[name].dtype == values.dtype
        if module not in changes:
            assert torch.equal(found[name], values), name
            continue
        expected = values.double().numpy() + changes[module]
        largest = np.abs(expected).max() + np.abs(changes[module]).max()
        tolerance = 2 * torch.finfo(values.dtype).eps * largest
        np.testing.assert_allclose(found[name].double().numpy(), expected, rtol=0, atol=tolerance)
        assert np.abs(changes[module]).max() > 0.1


QUERY, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"
SCALES: dict[str, tuple[dict[str, Any], int, float]] = {
    "alpha over rank": ({}, 4, 6 / 4),
    "rank-stabilised": ({"use_rslora": True}, 4, 6 / 4**0.5),
    "ranks and alphas by pattern": (
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {r"layers\.1\.mlp\.down_proj": 5}}, 2, 5 / 2),
    "patterns of another module": (
        {"rank_pattern": {"up_proj": 2}, "alpha_pattern": {"n_proj": 9}}, 4, 6 / 4),
}  # fmt: skip


@pytest.mark.parametrize("what", SCALES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_are_those_of_the_formula(
    what: str, dtype: torch.dtype, tmp_path: Path, compatibility: Compatibility
) -> None:
    config, rank, scale = SCALES[what]
    base = write_base(tmp_path / "base", dtype)
    tensors = factors(base, QUERY, 4) | factors(base, DOWN, rank, seed=1)
    adapter = write_adapter(tmp_path / "adapter", tensors, **config)
    found = merged(tmp_path / "base", adapter, tmp_path / "model")
    of_query = 6 / 4**0.5 if config.get("use_rslora") else 6 / 4
    changes = {QUERY: of_query * product(tensors, QUERY), DOWN: scale * product(tensors, DOWN)}
    assert_changed(found, base, changes)
    load_whole(tmp_path / "model", dtype)
    assert not list((tmp_path / "model").glob("adapter*"))
    compatibility("Checkpoints", f"an adapter of LoRA ({what}): by prepare_model.py merge_adapter", "read")


def test_a_base_in_shards_and_a_pickled_adapter(tmp_path: Path) -> None:
    """By the program."""
    base = write_base(tmp_path / "base", max_shard_size="4KB")
    assert len(list((tmp_path / "base").glob("*.safetensors"))) > 2
    tensors = factors(base, QUERY, 4)
    adapter = write_adapter(tmp_path / "adapter", tensors)
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(tensors, adapter / "adapter_model.bin")
    command = ["merge_adapter", tmp_path / "base", adapter, tmp_path / "model"]
    assert "types as they were" in run_well("prepare_model.py", *command)
    changes = {QUERY: 1.5 * product(tensors, QUERY)}
    assert_changed(tensors_in(tmp_path / "model"), base, changes)


def test_transposed_weights_of_gpt2(tmp_path: Path) -> None:
    """PEFT's fan_in_fan_out: the base keeps [in, out]."""
    (case,) = (case for case in CASES if case.name == "gpt2")
    case.model().save_pretrained(tmp_path / "base")
    base = load_file(tmp_path / "base/model.safetensors")
    module = "transformer.h.0.attn.c_attn"
    turned = factors({f"{module}.weight": base[f"{module}.weight"].T}, module, 4)
    adapter = write_adapter(tmp_path / "adapter", turned, fan_in_fan_out=True)
    found = merged(tmp_path / "base", adapter, tmp_path / "model")
    assert_changed(found, base, {module: 1.5 * product(turned, module).T})


def test_embeddings_biases_and_whole_modules(tmp_path: Path, compatibility: Compatibility) -> None:
    base = write_base(tmp_path / "base")
    generator = torch.Generator().manual_seed(4)
    rows, columns = base["model.embed_tokens.weight"].shape
    tensors = {
        f"{BEGIN}model.embed_tokens.lora_embedding_A": torch.randn(4, rows, generator=generator),
        f"{BEGIN}model.embed_tokens.lora_embedding_B": torch.randn(columns, 4, generator=generator),
        # As PEFT saves it beside the factors, where the vocabulary has grown or not.
        f"{BEGIN}model.embed_tokens.base_layer.weight": base["model.embed_tokens.weight"].clone(),
        f"{BEGIN}lm_head.weight": torch.randn(rows, columns, generator=generator),
        f"{BEGIN}model.norm.modules_to_save.weight": torch.randn(columns, generator=generator),
    }
    adapter = write_adapter(tmp_path / "adapter", tensors, modules_to_save=["lm_head", "norm"])
    found = merged(tmp_path / "base", adapter, tmp_path / "model")
    a, b = (tensors[f"{BEGIN}model.embed_tokens.lora_embedding_{which}"].double().numpy() for which in "AB")
    replaced = {"lm_head.weight": tensors[f"{BEGIN}lm_head.weight"],
                "model.norm.weight": tensors[f"{BEGIN}model.norm.modules_to_save.weight"]}  # fmt: skip
    assert_changed(found, base | replaced, {"model.embed_tokens": 1.5 * (b @ a).T})
    what = "an adapter with whole modules (modules_to_save): by prepare_model.py merge_adapter"
    compatibility("Checkpoints", what, "read")


def spoilt(tensors: Tensors, **changes: torch.Tensor | None) -> Tensors:
    found = tensors | {f"{BEGIN}{QUERY}.{name}.weight": v for name, v in changes.items() if v is not None}
    gone = [f"{BEGIN}{QUERY}.{name}.weight" for name, v in changes.items() if v is None]
    return {name: values for name, values in found.items() if name not in gone}


REFUSED: dict[str, tuple[dict[str, Any], dict[str, torch.Tensor | None], str]] = {
    "an adapter of another kind": ({"peft_type": "IA3"}, {}, 'expected "LORA", found IA3: merge_and_unload'),
    "an adapter of DoRA": ({"use_dora": True}, {}, "use_dora is True, which is not merged here"),
    "an adapter of another rank than its config": ({"r": 8}, {}, "lora_A has 4 rows, expected the rank 8"),
    "an adapter without alpha": ({"lora_alpha": None}, {}, "lora_alpha: expected a positive number"),
    "an adapter without one of two factors": ({}, {"lora_B": None}, "expected lora_A and lora_B, found one"),
    "an adapter of another base": (
        {}, {"lora_B": torch.zeros(7, 4)}, "its change has shape (7, 24), expected (24, 24)"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_adapters_that_fit_no_formula_are_refused(
    what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    config, changes, words = REFUSED[what]
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", spoilt(factors(base, QUERY, 4), **changes), **config)
    message = refused(tmp_path, adapter)
    assert words in message
    compatibility("Checkpoints", what, "refused", message)


def refused(folder: Path, adapter: Path) -> str:
    base, output = folder / "base", folder / "model"
    message = refusal_of(merged_checkpoint.convert, base, adapter, output, None)
    assert not output.exists()
    return message


def test_modules_that_the_base_lacks_are_named(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    module = "model.layers.9.mlp.up_proj"
    other = factors({f"{module}.weight": base[f"{QUERY}.weight"]}, module, 4)
    message = refused(tmp_path, write_adapter(tmp_path / "adapter", other))
    assert f"it changes {module}.weight, which" in message and "does not have" in message


def test_packed_and_missing_bases_are_refused(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", factors(base, QUERY, 4))
    packed = base | {f"{QUERY}.weight": torch.zeros(24, 24, dtype=torch.uint8)}
    save_file(packed, tmp_path / "base/model.safetensors", {"format": "pt"})
    assert "expected a matrix of real numbers in the base" in refused(tmp_path, adapter)
    (tmp_path / "base/model.safetensors").unlink()
    assert "expected the base's model.safetensors or" in refused(tmp_path, adapter)


def test_an_index_that_leads_outside_and_a_config_that_is_no_json_are_refused(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", factors(base, QUERY, 4))
    (tmp_path / "base/model.safetensors").rename(tmp_path / "model.safetensors")
    index = tmp_path / "base/model.safetensors.index.json"
    for content, words in (
        ('{"weight_map": {"x": "../model.safetensors"}}', "tensor x: expected a file of this directory"),
        ("[" * 100_000, "brackets are nested too deeply"),
        ("[]", "expected a JSON object, found a list"),
    ):
        index.write_text(content)
        assert f"{index}: {words}" in refused(tmp_path, adapter)
    config = adapter / "adapter_config.json"
    config.write_text('{"peft_type":\n"LORA"')
    assert f"{config} is not JSON: line 2, column 7: " in refused(tmp_path, adapter)
