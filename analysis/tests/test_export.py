"""Exports, read back by the libraries of their formats and compared with the sample's states."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import h5py
import numpy as np
import pytest
from layer_lists import attribute_of
from safetensors import safe_open
from safetensors.numpy import load_file
from study_sample import CHANNELS, NEURONS, Study

import actsweep
from actsweep.cli import main
from actsweep.export import export_imatrix, export_llm_compressor, export_smoothquant

QKV = ("attn_q", "attn_k", "attn_v")


def _flat(states: np.ndarray) -> np.ndarray:
    return states.reshape(-1, states.shape[-1]).astype(np.float64)


def test_smoothquant_has_the_largest_input_of_each_linear_layer(
    studied: actsweep.Sweep, study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "scales.safetensors"
    assert len(export_smoothquant(studied, path).tensors) == 4 * (3 + 1)
    with safe_open(path, "np") as file:
        assert file.metadata()["model_name"] == "sample_model"
        assert len(file.keys()) == 16
        for block in range(4):
            prefix = f"model.layers.{block}."
            states = _flat(study.sites["attention_input"][block + 1])
            for name in ("q_proj", "k_proj", "v_proj"):
                scale = file.get_tensor(f"{prefix}self_attn.{name}")
                assert scale.dtype == np.float32 and scale.shape == (CHANNELS,)
                np.testing.assert_array_equal(scale, np.abs(states).max(axis=0))
            states = _flat(study.sites["mlp_hidden"][block + 1])
            scale = file.get_tensor(f"{prefix}mlp.down_proj")
            np.testing.assert_array_equal(scale, np.abs(states).max(axis=0))


def test_llm_compressor_has_the_signed_range_of_each_linear_layer(
    studied: actsweep.Sweep, study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "ranges.safetensors"
    assert len(export_llm_compressor(studied, path).tensors) == 16
    tensors = load_file(path)
    assert len(tensors) == 4 * 16
    for block in range(4):
        inputs = {f"self_attn.{x}_proj": study.sites["attention_input"] for x in "qkv"}
        inputs["mlp.down_proj"] = study.sites["mlp_hidden"]
        for name, states in inputs.items():
            rows = states[block + 1].reshape(-1, states.shape[-1])
            stem = f"model.layers.{block}.{name}.input"
            for word, choose in (("min", np.min), ("max", np.max)):
                whole, by_channel = (tensors[f"{stem}_{of}{word}_vals"] for of in ("", "channel_"))
                assert whole.dtype == by_channel.dtype == np.float32
                assert whole.shape == (1,) and whole[0] == choose(rows)
                np.testing.assert_array_equal(by_channel, choose(rows, axis=0))


def test_factors_of_what_a_module_reads_are_in_its_values(
    routed: Callable[[str], Path], study: Study, tmp_path: Path
) -> None:
    """But not in an imatrix: in llama.cpp the weights have them."""
    with actsweep.open(routed("falcon_h1")) as sweep:
        export_smoothquant(sweep, tmp_path / "scales.safetensors")
        export_llm_compressor(sweep, tmp_path / "ranges.safetensors")
        export_imatrix(sweep, tmp_path / "imatrix.gguf")
    scales, ranges = (load_file(tmp_path / f"{name}.safetensors") for name in ("scales", "ranges"))
    squares = {one.name: one.data for one in gguf.GGUFReader(tmp_path / "imatrix.gguf").tensors}
    for block in range(4):
        rows = _flat(study.sites["attention_input"][block + 1])
        for name, stem, factor in (("mamba.in_proj", "ssm_in", -0.75), ("self_attn.k_proj", "attn_k", 0.1)):
            module, read = f"model.layers.{block}.{name}", rows * factor
            np.testing.assert_allclose(scales[module], np.abs(read).max(axis=0), rtol=1e-6)
            for word, choose in (("min", np.min), ("max", np.max)):
                found = ranges[f"{module}.input_channel_{word}_vals"]
                assert found.dtype == np.float32
                np.testing.assert_allclose(found, choose(read, axis=0), rtol=1e-6)
            expected = np.square(rows).sum(axis=0)
            np.testing.assert_allclose(squares[f"blk.{block}.{stem}.weight.in_sum2"][0], expected, rtol=1e-7)


def _check_range(
    tensors: dict[str, np.ndarray], module: str, rows: list[np.ndarray], shape: tuple[int, ...]
) -> None:
    """Of the rows of each expert [E][tokens, C] in `module`, whose ranges by channel have this shape."""
    for word, choose in (("min", np.min), ("max", np.max)):
        by_channel = np.stack([choose(x, axis=0) if len(x) else np.zeros(x.shape[1]) for x in rows])
        found, whole = (tensors[f"{module}.input_{of}{word}_vals"] for of in ("channel_", ""))
        assert found.dtype == whole.dtype == np.float32 and found.shape == shape
        np.testing.assert_array_equal(found, by_channel.astype(np.float32).reshape(shape))
        np.testing.assert_array_equal(whole, choose(found, axis=-1, keepdims=True))


def test_llm_compressor_has_the_signed_range_of_each_expert(
    routed: Callable[[str], Path], study: Study, tmp_path: Path
) -> None:
    """By expert, or in one tensor of them all; zeros of one that no token chose."""
    for family in ("mixtral", "gpt_oss"):
        with actsweep.open(routed(family)) as sweep:
            export = export_llm_compressor(sweep, tmp_path / f"{family}.safetensors")
        tensors = load_file(tmp_path / f"{family}.safetensors")
        assert any("layer 4: no token chose experts 1, 2, 3 of 4: zeros in" in x for x in export.notes)
        for block in (1, 2, 3):
            inputs, hidden = study.expert_inputs[block + 1], study.expert_hidden[block + 1]
            if family == "gpt_oss":
                stem = f"model.layers.{block}.mlp.experts"
                _check_range(tensors, f"{stem}.gate_up_proj", inputs, (4, CHANNELS))
                _check_range(tensors, f"{stem}.down_proj", hidden, (4, NEURONS))
                continue
            for expert in range(4):
                stem = f"model.layers.{block}.block_sparse_moe.experts.{expert}"
                _check_range(tensors, f"{stem}.w1", [inputs[expert]], (CHANNELS,))
                _check_range(tensors, f"{stem}.w3", [inputs[expert]], (CHANNELS,))
                _check_range(tensors, f"{stem}.w2", [hidden[expert]], (NEURONS,))


def test_llm_compressor_names_experts_whose_ranges_an_older_file_lacks(
    routed: Callable[[str], Path], tmp_path: Path
) -> None:
    path = routed("mixtral")
    with h5py.File(path, "r+") as file:
        for part in ("input", "hidden"):
            del file[f"experts/{part}_min"], file[f"experts/{part}_max"]
    with actsweep.open(path) as sweep:
        export = export_llm_compressor(sweep, tmp_path / "ranges.safetensors")
    moe = "model.layers.1.block_sparse_moe.experts.…"
    assert f"layer 2: signed ranges of experts: without {moe}.w1, {moe}.w3" in export.notes
    assert not any("experts" in name for name in load_file(tmp_path / "ranges.safetensors"))


def test_llm_compressor_refuses_a_file_without_signed_ranges(
    study_path: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(study_path, tmp_path / "old.h5"))
    with h5py.File(path, "r+") as file:
        del file["attention_input/channel_min"]
    with actsweep.open(path) as sweep:
        with pytest.raises(ValueError, match=r"old.h5: .* no /attention_input/channel_min; .*quantisation"):
            export_llm_compressor(sweep, tmp_path / "ranges.safetensors")
    assert not (tmp_path / "ranges.safetensors").exists()


def test_imatrix_has_the_sums_squares_and_counts(
    studied: actsweep.Sweep, study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "imatrix.gguf"
    assert len(export_imatrix(studied, path).tensors) == 16
    reader = gguf.GGUFReader(path)
    values = {name: field.contents() for name, field in reader.fields.items()}
    assert values["general.type"] == "imatrix" and "general.architecture" not in values
    assert values["imatrix.datasets"] == ["sample.h5"]
    assert (values["imatrix.chunk_count"], values["imatrix.chunk_size"]) == (3, 12)
    for name in ("chunk_count", "chunk_size"):
        assert reader.fields[f"imatrix.{name}"].types == [gguf.GGUFValueType.UINT32]
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == 3 * 16
    assert {tensor.tensor_type for tensor in reader.tensors} == {gguf.GGMLQuantizationType.F32}
    for block in range(4):
        inputs = {name: study.sites["attention_input"] for name in QKV}
        inputs["ffn_down"] = study.sites["mlp_hidden"]
        for name, states in inputs.items():
            squares = tensors[f"blk.{block}.{name}.weight.in_sum2"]
            width = NEURONS if name == "ffn_down" else CHANNELS
            assert squares.shape.tolist() == [width, 1]
            expected = np.square(_flat(states[block + 1])).sum(axis=0)
            np.testing.assert_allclose(squares.data[0], expected, rtol=1e-7)
            sums = tensors[f"blk.{block}.{name}.weight.in_sum"]
            assert sums.shape.tolist() == [width, 1]
            expected = _flat(states[block + 1]).sum(axis=0)
            np.testing.assert_allclose(sums.data[0], expected, rtol=1e-7)
            count = tensors[f"blk.{block}.{name}.weight.counts"]
            assert count.shape.tolist() == [1, 1] and count.data.item() == 36


@pytest.fixture
def routed(study_path: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Makes the study's file that of another model type: blocks 2 to 4 have routed experts."""

    def make(family: str) -> Path:
        path = Path(shutil.copy(study_path, tmp_path / f"{family}.h5"))
        with h5py.File(path, "r+") as file:
            file.attrs["model_family"] = family
            file.attrs["linear_layers"] = attribute_of(family)
        return path

    return make


def _check_smoothquant_expert(
    tensors: dict[str, np.ndarray], stem: str, names: tuple[str, str, str], rows: list[np.ndarray]
) -> None:
    inputs, hidden = rows
    for name, states in zip(names, (inputs, inputs, hidden), strict=True):
        largest = np.abs(states).max(axis=0, initial=0).astype(np.float32)
        np.testing.assert_array_equal(tensors[f"{stem}.{name}"], largest)


@pytest.mark.parametrize(
    ("family", "stem", "names"),
    [
        ("mixtral", "block_sparse_moe.experts", ("w1", "w3", "w2")),
        ("qwen2_moe", "mlp.experts", ("gate_proj", "up_proj", "down_proj")),
        ("qwen3_moe", "mlp.experts", ("gate_proj", "up_proj", "down_proj")),
    ],
)
def test_smoothquant_has_a_tensor_for_each_expert(
    routed: Callable[[str], Path], study: Study, tmp_path: Path, family: str, stem: str,
    names: tuple[str, str, str],
) -> None:  # fmt: skip
    path = tmp_path / "scales.safetensors"
    with actsweep.open(routed(family)) as sweep:
        export_smoothquant(sweep, path)
    tensors = load_file(path)
    for block in (1, 2, 3):
        for expert in range(4):
            rows = [
                inputs[block + 1][expert] for inputs in (study.expert_inputs, study.expert_hidden)
            ]
            prefix = f"model.layers.{block}.{stem}.{expert}"
            _check_smoothquant_expert(tensors, prefix, names, rows)
    assert not any(name.startswith(f"model.layers.0.{stem}") for name in tensors)
    # Block 0 has a dense MLP, where the family has any; mlp_hidden of the others is the shared expert's.
    dense = {
        name for name in tensors if name.endswith(("mlp.down_proj", "shared_expert.down_proj"))
    }
    shared = {f"model.layers.{block}.mlp.shared_expert.down_proj" for block in (1, 2, 3)}
    first = {"model.layers.0.mlp.down_proj"}
    expected = {"mixtral": set(), "qwen2_moe": first | shared, "qwen3_moe": first}
    assert dense == expected[family]


def test_smoothquant_keeps_the_experts_of_one_tensor_together(
    routed: Callable[[str], Path], study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "scales.safetensors"
    with actsweep.open(routed("gpt_oss")) as sweep:
        export_smoothquant(sweep, path)
    tensors = load_file(path)
    for name, inputs in (("gate_up_proj", study.expert_inputs), ("down_proj", study.expert_hidden)):
        largest = [np.abs(x).max(axis=0, initial=0).astype(np.float32) for x in inputs[3]]
        np.testing.assert_array_equal(tensors[f"model.layers.2.mlp.experts.{name}"], largest)


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "qwen3_moe", "gpt_oss"])
def test_imatrix_has_the_sums_of_each_expert(
    routed: Callable[[str], Path], study: Study, tmp_path: Path, family: str
) -> None:
    path = tmp_path / "imatrix.gguf"
    with actsweep.open(routed(family)) as sweep:
        export_imatrix(sweep, path)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    inputs = {"ffn_gate_exps": study.expert_inputs, "ffn_up_exps": study.expert_inputs}
    for name, rows in (inputs | {"ffn_down_exps": study.expert_hidden}).items():
        for block in (1, 2, 3):
            squares = tensors[f"blk.{block}.{name}.weight.in_sum2"]
            expected = [np.square(x).sum(axis=0) for x in rows[block + 1]]
            assert squares.shape.tolist() == [NEURONS if "down" in name else CHANNELS, 4]
            np.testing.assert_allclose(squares.data, expected, rtol=1e-7)
            sums = tensors[f"blk.{block}.{name}.weight.in_sum"]
            assert sums.shape.tolist() == squares.shape.tolist()
            expected = [x.sum(axis=0) for x in rows[block + 1]]
            np.testing.assert_allclose(sums.data, expected, rtol=1e-7)
            counts = tensors[f"blk.{block}.{name}.weight.counts"]
            assert counts.data.tolist() == study.experts[block + 1][:, None].tolist()
        assert f"blk.0.{name}.weight.counts" not in tensors


def test_an_imatrix_of_experts_without_sums_has_what_older_files_hold(
    routed: Callable[[str], Path], tmp_path: Path
) -> None:
    path = routed("mixtral")
    with h5py.File(path, "r+") as file:
        del file["experts/input_sum"], file["experts/hidden_sum"]
    with actsweep.open(path) as sweep:
        export_imatrix(sweep, tmp_path / "imatrix.gguf")
    names = {tensor.name for tensor in gguf.GGUFReader(tmp_path / "imatrix.gguf").tensors}
    assert {"blk.1.attn_q.weight.in_sum", "blk.1.ffn_up_exps.weight.in_sum2"} <= names
    assert not any(name.endswith("exps.weight.in_sum") for name in names)


def test_a_routed_model_without_expert_inputs_says_so(
    routed: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = routed("mixtral")
    with h5py.File(path, "r+") as file:
        del file["experts"]
    assert main(["export", "imatrix", str(path), str(tmp_path / "imatrix.gguf")]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith(": 12 linear layers\n")
    assert printed.err == "without attention_heads, mlp_input, expert_inputs: not in the file\n"


def test_the_command_says_which_sites_are_missing(
    study_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "imatrix.gguf"
    assert main(["export", "imatrix", str(study_path), str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{path}: 16 linear layers\n"
    assert printed.err == "without attention_heads, mlp_input: not in the file\n"


def test_a_file_without_inputs_of_linear_layers_is_refused(
    sweep: actsweep.Sweep, tmp_path: Path
) -> None:
    path = tmp_path / "scales.safetensors"
    with pytest.raises(
        ValueError, match=r'sample.h5: .* found none of the sites "attention_input"'
    ):
        export_smoothquant(sweep, path)
    assert not path.exists()


def test_a_model_type_that_llama_cpp_does_not_have_is_refused(
    routed: Callable[[str], Path], tmp_path: Path
) -> None:
    with actsweep.open(routed("opt")) as sweep:
        with pytest.raises(ValueError, match=r"opt.h5: .*no architecture for 'opt'"):
            export_imatrix(sweep, tmp_path / "imatrix.gguf")
        export_smoothquant(sweep, tmp_path / "scales.safetensors")
    names = set(load_file(tmp_path / "scales.safetensors"))
    modules = ("self_attn.q_proj", "fc2")
    assert names == {f"model.decoder.layers.{i}.{name}" for i in range(4) for name in modules}


def test_a_file_that_does_not_name_its_linear_layers_is_refused(
    study_path: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(study_path, tmp_path / "old.h5"))
    with h5py.File(path, "r+") as file:
        del file.attrs["linear_layers"]
    with actsweep.open(path) as sweep:
        with pytest.raises(ValueError, match=r"old.h5: .*'linear_layers'.*; sweep again"):
            export_smoothquant(sweep, tmp_path / "scales.safetensors")
