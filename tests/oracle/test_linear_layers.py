"""What a sweep file says of linear layers: their names are those of transformers' checkpoints,
every product of a block is there but those that read no site, and each is as wide as what it reads.

Of one random model of each type. The names of llama.cpp follow by gguf's own table.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig

from actsweep.export import EXPERT_TENSORS
from actsweep.linear_layers import INPUT_SITES, LinearLayers
from actsweep.llama_cpp import ARCHITECTURES
from support.random_models import ENCODERS, GEMMA4_INPUTS, MODELS, RandomModel, make_random, save
from support.random_models.weights import auto_class

FIRST = (
    *{model.family: model for model in reversed((*MODELS, *ENCODERS))}.values(), GEMMA4_INPUTS[0],
)  # fmt: skip
AS_PUBLISHED = ("llama4",)  # whose modules have the names of the publication in transformers, too
BESIDE = ("vision_tower", "vision_model", "visual.", "projector", "connector")
PUBLISHED = "language_model.model."
# Products of a block that read a normed latent, the outputs of a mixer that is no attention, positions of a
# window, the stream by a norm of their own, or what makes a layer's own inputs.
WITHOUT_SITE = (
    "kv_b_proj", "q_b_proj", "router.proj", "conv.out_proj", "conv.conv", "per_layer_input_gate",
    "per_layer_projection", "per_layer_model_projection",
    *(
        f"{mixer}.{part}" for mixer in ("linear_attn", "mamba", "mixer")
        for part in ("out_proj", "conv1d", "A_log", "dt_bias", "x_proj", "dt_proj")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """A model's facts and list by the program, and the shapes in its file by the names of modules."""

    facts: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @property
    def layers(self) -> LinearLayers:
        return LinearLayers(self.facts["linear_layers"])

    def modules(self, reads: str, layer: int) -> list[str]:
        """With each expert's, where they stand alone."""
        found = []
        for module in self.layers.reading(reads, layer):
            experts = range(self.facts["experts"]) if "{}" in module else [0]
            found += [module.format(expert) for expert in experts]
        return found

    @property
    def all_modules(self) -> set[str]:
        reads = (*INPUT_SITES, "expert_input", "expert_hidden")
        layers = range(1, self.facts["layers"] + 1)
        return {name for layer in layers for one in reads for name in self.modules(one, layer)}


@pytest.fixture(scope="module")
def listed(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("linear")

    @cache
    def of(number: int) -> Listed:
        model = FIRST[number]
        directory = save(make_random(model), model, folder / model.name)
        command = [str(program), "tensors", str(directory)]
        facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[0])
        shapes = shapes_of_file(directory)
        if model.family not in AS_PUBLISHED:
            shapes = {renamed(name): shape for name, shape in shapes.items()}
        is_named = any(name.startswith(("model.language_model.", PUBLISHED)) for name in shapes)
        if "text_config" in model.config and not is_named:
            shapes = shapes_of_modules(directory)
        return Listed(facts, shapes)

    return lambda model: of(FIRST.index(model))


def renamed(module: str) -> str:
    """From its name in a publication to that in transformers."""
    if module.startswith(PUBLISHED):
        return "model.language_model." + module.removeprefix(PUBLISHED)
    return module


def shapes_of_file(directory: Path) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for path in directory.glob("*.safetensors"):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118
                shapes[name.removesuffix(".weight")] = tuple(file.get_slice(name).get_shape())
    return shapes


def shapes_of_modules(directory: Path) -> dict[str, tuple[int, ...]]:
    """Where the file of a model of several parts has the names of its publication."""
    config = AutoConfig.from_pretrained(directory)
    with torch.device("meta"):
        module = auto_class(config).from_config(config)
    return {name.removesuffix(".weight"): tuple(x.shape) for name, x in module.state_dict().items()}


def is_product(name: str, shape: tuple[int, ...]) -> bool:
    last = name.rpartition(".")[2]  # DBRX's attention lies between two norms by its name, too
    is_norm = "norm" in last or "ln_" in last
    return len(shape) > 1 and not is_norm and any(part.isdigit() for part in name.split("."))


@pytest.mark.parametrize("model", FIRST, ids=lambda model: model.name)
def test_names_are_those_of_the_file_and_none_is_left_out(model: RandomModel, listed: Any) -> None:
    found: Listed = listed(model)
    crossed = [f".layers.{number}." for number in model.text.get("cross_attention_layers", ())]
    stored = {name for name, shape in found.shapes.items() if is_product(name, shape)}
    expected = {
        name for name in stored
        if not name.endswith((*WITHOUT_SITE, ".bias", "_bias", "sinks", "e_score_correction"))
        and not any(beside in name for beside in (*BESIDE, *crossed))
    }  # fmt: skip
    assert found.all_modules == expected


@pytest.mark.parametrize("model", FIRST, ids=lambda model: model.name)
def test_each_is_as_wide_as_what_it_reads(model: RandomModel, listed: Any) -> None:
    found: Listed = listed(model)
    facts = found.facts
    config = model.text
    width = config.get("v_head_dim", facts["head_width"])
    widths = {
        "attention_input": {facts["channels"]},
        "attention_heads": {facts["heads"] * width, facts["heads"] * facts["other_head_width"]},
        "mlp_input": {facts["channels"]},
        "expert_input": {facts["channels"]},
        "expert_hidden": {facts["expert_width"], facts["experts"] * facts["expert_width"]},  # DBRX
    }
    for layer in range(1, facts["layers"] + 1):
        for reads, expected in widths.items():
            for module in found.modules(reads, layer):
                assert expected & set(found.shapes[module]), (module, found.shapes[module])
        for module in found.modules("mlp_hidden", layer):
            assert facts["channels"] in found.shapes[module]


@pytest.mark.parametrize("model", [one for one in FIRST if one.family == "falcon_h1"], ids=lambda one: one.name)
def test_what_is_read_is_the_normed_stream_times_the_factor(model: RandomModel, listed: Any) -> None:
    """Of what transformers' modules read."""
    found: Listed = listed(model)
    module = make_random(model).eval()
    normed, read = hooked(module, found.facts["layers"], found.modules)
    with torch.no_grad():
        module(torch.arange(9)[None])
    factors = []
    for layer in normed:
        for factor, names in found.layers.by_factor("attention_input", layer).items():
            factors += [factor] * len(names)
            for name in names:
                torch.testing.assert_close(read[name], normed[layer] * factor, rtol=1e-6, atol=0)
    assert sorted(set(factors)) == [model.config["attention_in_multiplier"], model.config["ssm_in_multiplier"]]


def hooked(module: Any, layers: int, modules_of: Any) -> tuple[dict[int, Any], dict[str, Any]]:
    """What the first norm of each block gives, and what modules that read the site are given."""
    normed: dict[int, Any] = {}
    read: dict[str, Any] = {}
    for layer in range(1, layers + 1):
        norm = module.get_submodule(f"model.layers.{layer - 1}.input_layernorm")
        norm.register_forward_hook(lambda _m, _i, output, layer=layer: normed.update({layer: output}))
        for name in modules_of("attention_input", layer):
            module.get_submodule(name).register_forward_pre_hook(
                lambda _m, inputs, name=name: read.update({name: inputs[0]})
            )
    return normed, read


OF_ATTENTION = {
    "attention_input": {"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_q_a", "attn_kv_a_mqa",
                        "attn_gate", "ssm_in", "ssm_ba", "ssm_beta_alpha", "ssm_alpha", "ssm_beta"},
    "attention_heads": {"attn_output"},
    "mlp_input": {"ffn_gate", "ffn_up", "ffn_gate_inp", "ffn_gate_inp_shexp", "ffn_gate_shexp",
                  "ffn_up_shexp"},
    "mlp_hidden": {"ffn_down", "ffn_down_shexp"},
}  # fmt: skip


@pytest.mark.parametrize(
    "model", [one for one in FIRST if one.family in ARCHITECTURES], ids=lambda model: model.family
)
def test_modules_have_the_names_of_llama_cpp(model: RandomModel, listed: Any) -> None:
    """But for dense blocks that its architecture does not know."""
    found: Listed = listed(model)
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(architectures[ARCHITECTURES[model.family]], 9)
    named = 0
    for layer in range(1, found.facts["layers"] + 1):
        for site, stems in OF_ATTENTION.items():
            for module in found.modules(site, layer):
                name = table.get_name(module)
                assert name is None or name in {f"blk.{layer - 1}.{stem}" for stem in stems}, module
                is_dense = site.startswith("mlp") and found.facts["experts"] > 0
                assert name is not None or is_dense, module
                named += name is not None
        for part, kinds in EXPERT_TENSORS.items():
            expected = {gguf.TENSOR_NAMES[gguf.MODEL_TENSOR[kind]].format(bid=layer - 1) for kind in kinds}
            for module in found.layers.reading(f"expert_{part}", layer):
                assert "{}" not in module or table.get_name(module.replace(".{}", "")) in expected
    assert named >= 2 * found.facts["layers"]
