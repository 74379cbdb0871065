"""Exports, read back by the libraries of their formats and compared with the sample's states."""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf
import h5py
import numpy as np
import pytest
from safetensors import safe_open
from study_sample import CHANNELS, NEURONS, Study

import actsweep
from actsweep.cli import main
from actsweep.export import export_imatrix, export_smoothquant

QKV = ("attn_q", "attn_k", "attn_v")


def _flat(states: np.ndarray) -> np.ndarray:
    return states.reshape(-1, states.shape[-1]).astype(np.float64)


def test_smoothquant_has_the_largest_input_of_each_linear_layer(
    studied: actsweep.Sweep, study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "scales.safetensors"
    assert export_smoothquant(studied, path) == 4 * (3 + 1)
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


def test_imatrix_has_the_sums_of_squares_and_counts(
    studied: actsweep.Sweep, study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "imatrix.gguf"
    assert export_imatrix(studied, path) == 16
    reader = gguf.GGUFReader(path)
    values = {name: field.contents() for name, field in reader.fields.items()}
    assert values["general.type"] == "imatrix" and "general.architecture" not in values
    assert values["imatrix.datasets"] == ["sample.h5"]
    assert (values["imatrix.chunk_count"], values["imatrix.chunk_size"]) == (3, 12)
    for name in ("chunk_count", "chunk_size"):
        assert reader.fields[f"imatrix.{name}"].types == [gguf.GGUFValueType.UINT32]
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert len(tensors) == 2 * 16
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
            count = tensors[f"blk.{block}.{name}.weight.counts"]
            assert count.shape.tolist() == [1, 1] and count.data.item() == 36


def test_the_command_says_which_sites_are_missing(
    study_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "imatrix.gguf"
    assert main(["export", "imatrix", str(study_path), str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{path}: 16 linear layers\n"
    assert "without the sites attention_heads, mlp_input: not in the file" in printed.err


def test_a_file_without_inputs_of_linear_layers_is_refused(
    sweep: actsweep.Sweep, tmp_path: Path
) -> None:
    path = tmp_path / "scales.safetensors"
    with pytest.raises(
        ValueError, match=r'sample.h5: .* found none of the sites "attention_input"'
    ):
        export_smoothquant(sweep, path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("family", "message"),
    [("dinov2", "no names of linear layers for 'dinov2'"), ("opt", "no architecture for 'opt'")],
)
def test_model_types_without_names_are_refused(
    study_path: Path, tmp_path: Path, family: str, message: str
) -> None:
    path = Path(shutil.copy(study_path, tmp_path / "other.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["model_family"] = family
    with actsweep.open(path) as sweep, pytest.raises(ValueError, match=f"other.h5: .*{message}"):
        export_imatrix(sweep, tmp_path / "imatrix.gguf")
