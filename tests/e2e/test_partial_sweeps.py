"""`python -m actsweep` on what it may be given: sweep files of any part of the datasets, exports of
layers and experts without values, files that are none, places that cannot be written.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import h5py
import numpy as np
import pandas as pd
import pytest
from running import make_corpus, make_job, make_model, run_alone, write_job
from safetensors.numpy import load_file, save_file
from support.compatibility import Compatibility

from actsweep.cli import main

INPUT_SITES = ["attention_input", "attention_heads", "mlp_input", "mlp_hidden"]
ALL_SITES = [
    "residual", "query", "key", "value", "attention_output", "gate", "up", "mlp_output", "final_norm",
    *INPUT_SITES,
]  # fmt: skip
KEY_SETS = {"attention": ["position:0"], "value_updates": True, "query_key": True}
# Sections of jobs, each of which leaves something out of the file.
PARTS: dict[str, dict[str, Any]] = {
    "inputs_alone": {"statistics": {"sites": ["attention_input", "mlp_input"]}},
    "no_sites": {"statistics": {"sites": []}},
    "attention_alone": {
        "statistics": {"sites": [], "loss": False, **KEY_SETS},
        "capture": {"prompts": []},
    },
    "final_norm_alone": {
        "statistics": {"sites": ["final_norm"]},
        "capture": {"sites": ["final_norm"]},
    },
    "capture_without_stream": {"capture": {"sites": ["mlp_hidden"], "attention": True}},
    "no_rows_no_prompts": {"output": {"per_token": "none"}, "capture": {"prompts": []}},
    "no_events": {
        "output": {"per_token": "massive"},
        "statistics": {"criterion_magnitude": 1e9, "loss": False},
    },
    "all_sites": {
        "statistics": {"sites": ALL_SITES, **KEY_SETS},
        "capture": {"prompts": ["short", "longer"], "sites": ALL_SITES},
    },
}
RESIDUAL_KEY = '[statistics] sites = ["residual"]'
CAPTURE_KEY = '[capture] sites = ["residual"]'


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of an error or a warning."""
        (line,) = self.err.strip().splitlines()
        return line


def run(*command: object) -> Done:
    """One command of the package; what it raises beyond its exit code is a traceback to its user."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in command])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Sweeps a model once for each of PARTS, by one rank."""
    folder = tmp_path_factory.mktemp("partial")
    model = make_model(folder / "model")
    corpus = make_corpus(folder / "corpus.h5", 320)

    def make(name: str) -> Path:
        path = folder / f"{name}.h5"
        if not path.exists():
            sections = {"parallel": {"tensor": 1}, **PARTS[name]}
            job = write_job(path.with_suffix(".toml"), make_job(model, corpus, path, **sections))
            done = run_alone("run", job)
            assert done.returncode == 0, done.stderr
        return path

    return make


@pytest.mark.parametrize("part", PARTS)
def test_info_shows_what_any_file_has(part: str, sweep: Callable[..., Path]) -> None:
    path = sweep(part)
    done = run("info", path)
    assert (done.code, done.err) == (0, "")
    facts = {line.split()[0]: line[11:] for line in done.out.splitlines() if line.strip()}
    assert facts["corpus"] == "320 tokens in 20 sequences"
    with h5py.File(path) as file:
        held = [site for site in ALL_SITES if site in file]
        assert sorted(facts["sites"].split(", ")) == (sorted(held) or ["none measured"])
        assert ("perplexity" in facts) == ("loss" in file)
        if "residual" in file:
            assert facts["massive"].startswith(f"{len(file['massive/layer']):,} events")
        else:
            assert facts["massive"] == f"not measured; the job key {RESIDUAL_KEY} brings it"
        assert ("attention" in facts.get("also", "")) == ("attention" in file)


@pytest.mark.parametrize("part", PARTS)
def test_the_report_of_any_file_is_written(
    part: str, sweep: Callable[..., Path], tmp_path: Path
) -> None:
    path = sweep(part)
    done = run("report", path, "-o", tmp_path)
    assert (done.code, done.err) == (0, "")
    page = (tmp_path / "index.html").read_text()
    facts = pd.read_csv(tmp_path / "data/files.csv")
    assert facts["tokens"].tolist() == [320]
    with h5py.File(path) as file:
        assert ("Not in the file of model: statistics of the residual stream" in page) == (
            "residual" not in file
        )
        prompts = list(file.get("capture", {}))
        streams = [prompt for prompt in prompts if "residual" in file["capture"][prompt]]
    drawn = sorted(path.stem for path in tmp_path.glob("magnitude_3d_1_*.svg"))
    assert drawn == sorted(f"magnitude_3d_1_{prompt}" for prompt in streams)
    lacks_streams = "Not in the file of model: the residual stream of a captured prompt" in page
    assert lacks_streams == bool(prompts and not streams)


@pytest.mark.parametrize("part", PARTS)
def test_pictures_draws_what_there_is_and_names_the_rest(
    part: str, sweep: Callable[..., Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    path = sweep(part)
    done = run("pictures", path, "-o", tmp_path)
    drawn = {path.stem for path in tmp_path.iterdir()}
    with h5py.File(path) as file:
        has_curve = "residual" in file
        prompts = list(file.get("capture", {}))
        streams = [prompt for prompt in prompts if "residual" in file["capture"][prompt]]
    assert drawn == {f"magnitude_3d_{prompt}" for prompt in streams} | (
        {"layer_curve"} if has_curve else set()
    )
    assert done.code == (0 if drawn else 2)
    if not drawn:
        assert RESIDUAL_KEY in done.line and "nothing to draw" in done.line
        what = "a sweep file without a residual stream: `pictures`"
        compatibility("Outputs", what, "refused", "nothing to draw" + done.line.split("nothing to draw")[1])
    elif not has_curve:
        assert done.line == f"no layer curve: the job key {RESIDUAL_KEY} brings it"
    elif prompts and not streams:
        assert done.line.endswith(f"the job key {CAPTURE_KEY} brings them")


@pytest.mark.parametrize("part", PARTS)
def test_compare_takes_any_two_files(part: str, sweep: Callable[..., Path], tmp_path: Path) -> None:
    path, other = sweep(part), sweep("no_rows_no_prompts")
    different = run("compare", path, other)
    assert (different.code, different.err) == (0 if path == other else 1, "")
    copy = Path(shutil.copy(path, tmp_path / "copy.h5"))
    with h5py.File(copy, "r+") as file:
        file.attrs["model_fingerprint"] = "another"
        top = file["residual/sequence_top_value"][:, :, 0] if "residual" in file else None
    largest = np.nan if top is None else np.abs(top).mean(axis=1).max()
    table = run("compare", other, copy)
    assert (table.code, table.err) == (0, "")
    (row,) = [line for line in table.out.splitlines() if line.startswith("largest magnitude")]
    shown = row.split()[-1]
    assert shown == "–" if np.isnan(largest) else float(shown) == pytest.approx(largest, rel=1e-3)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["imatrix", "smoothquant"])
def test_exports_write_what_there_is_and_name_the_rest(
    kind: str, part: str, sweep: Callable[..., Path], tmp_path: Path
) -> None:
    path = sweep(part)
    done = run("export", kind, path, tmp_path / "out")
    with h5py.File(path) as file:
        held = [site for site in INPUT_SITES if site in file]
    if not held:
        assert done.code == 2 and "[statistics] sites" in done.line
        assert not list(tmp_path.iterdir())
        return
    assert done.code == 0 and [path.name for path in tmp_path.iterdir()] == ["out"]
    missing = [site for site in INPUT_SITES if site not in held]
    assert done.err == (f"without {', '.join(missing)}: not in the file\n" if missing else "")


def damage(model: Path, layer: int) -> None:
    """Makes the attention of a block NaN, and with it all that follows."""
    path = model / "model.safetensors"
    tensors = load_file(path)
    tensors[f"model.layers.{layer}.input_layernorm.weight"] *= np.float32(np.nan)
    save_file(tensors, path, metadata={"format": "pt"})


def sweep_inputs(folder: Path, damaged: int | None = None, **config: Any) -> Path:
    """A sweep of 16 tokens for an export, of a model with a block that gives NaN."""
    model = make_model(folder / "model", **config)
    if damaged is not None:
        damage(model, damaged)
    is_routed = config.get("model_type") == "mixtral"
    keys: dict[str, Any] = {"sites": INPUT_SITES[: 3 if is_routed else 4], "loss": False}
    if is_routed:
        keys |= {"experts": True, "expert_inputs": True}
    output = folder / "sweep.h5"
    job = make_job(
        model, make_corpus(folder / "corpus.h5", 64), output,
        statistics=keys, parallel={"tensor": 1}, corpus={"max_sequences": 1},
    )  # fmt: skip
    done = run_alone("run", write_job(folder / "job.toml", job))
    assert done.returncode == 0, done.stderr
    return output


def exported(kind: str, path: Path) -> dict[str, np.ndarray]:
    """What an export holds, all of it finite."""
    if kind == "imatrix":
        tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    else:
        tensors = load_file(path)
    assert all(np.isfinite(values).all() for values in tensors.values())
    return tensors


@pytest.mark.parametrize("kind", ["imatrix", "smoothquant"])
def test_an_export_names_layers_without_a_finite_token(
    kind: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = sweep_inputs(tmp_path, damaged=2)
    done = run("export", kind, path, tmp_path / "out")
    assert done.code == 0
    layers = {"imatrix": "blk.{}.", "smoothquant": "model.layers.{}."}[kind]
    tensors = exported(kind, tmp_path / "out")
    assert {block for block in range(4) if any(layers.format(block) in name for name in tensors)} == {0, 1}
    warnings = done.err.splitlines()
    assert len(warnings) == 2
    for block, warning in zip((2, 3), warnings, strict=True):
        assert warning.startswith(
            f"warning: layer {block + 1}: no finite token at attention_input, attention_heads,"
            f" mlp_input, mlp_hidden: without {layers.format(block)}"
        )
        assert warning.count(layers.format(block)) == 7
    what = f"a layer without a finite token: `export {kind}`"
    compatibility("Outputs", what, "warned", warnings[0])
    assert "NON-FINITE tokens left out at mlp_hidden by layer: 3: 16, 4: 16" in run("info", path).out


@pytest.mark.parametrize("kind", ["imatrix", "smoothquant"])
def test_an_export_without_any_finite_token_is_refused(
    kind: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    done = run("export", kind, sweep_inputs(tmp_path, damaged=0), tmp_path / "out")
    # Of the first layer it is named what would be there.
    assert done.code == 2 and not (tmp_path / "out").exists()
    assert "nothing to export: layer 1: no finite token at attention_input" in done.line
    what = f"no layer with a finite token: `export {kind}`"
    compatibility("Outputs", what, "refused", done.line.removeprefix("actsweep: "))


@pytest.mark.parametrize("kind", ["imatrix", "smoothquant"])
def test_an_export_of_a_file_without_names_of_linear_layers_is_refused(
    kind: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = sweep_inputs(tmp_path)
    with h5py.File(path, "r+") as file:
        del file.attrs["linear_layers"]
    done = run("export", kind, path, tmp_path / "out")
    assert done.code == 2 and not (tmp_path / "out").exists()
    what = f"a sweep file without the attribute `linear_layers`: `export {kind}`"
    compatibility("Outputs", what, "refused", done.line.removeprefix("actsweep: "))


def test_an_imatrix_of_a_type_that_llama_cpp_does_not_have_is_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    path = sweep_inputs(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_family"] = "gpt_neo"
    done = run("export", "imatrix", path, tmp_path / "out")
    assert done.code == 2 and "llama.cpp has no architecture for 'gpt_neo'" in done.line
    what = "a model type that llama.cpp does not have: `export imatrix`"
    compatibility("Outputs", what, "refused", done.line.removeprefix("actsweep: "))


EXPERTS = {
    "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 32,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["imatrix", "smoothquant"])
def test_an_export_names_experts_that_no_token_chose(
    kind: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    """As llama.cpp writes them, zeros with a count of 0, which it reads as no information."""
    path = sweep_inputs(tmp_path, **EXPERTS)
    done = run("export", kind, path, tmp_path / "out")
    assert done.code == 0
    with h5py.File(path) as file:
        counts = file["experts/token_count"][()]  # [layer, expert]
    assert (counts[1:] == 0).any() and counts[1:].sum() == 4 * 16 * 2
    tensors = exported(kind, tmp_path / "out")
    for layer in range(1, 5):
        unused = np.flatnonzero(counts[layer] == 0)
        named = [line for line in done.err.splitlines() if f"layer {layer}: no token chose" in line]
        assert len(named) == (2 if len(unused) else 0)  # of both kinds of inputs
        assert all(f" {', '.join(map(str, unused))} of 8: zeros in" in line for line in named)
        for expert in range(8):
            if kind == "imatrix":
                squares = tensors[f"blk.{layer - 1}.ffn_up_exps.weight.in_sum2"][expert]
                count = tensors[f"blk.{layer - 1}.ffn_up_exps.weight.counts"][expert].item()
                assert count == counts[layer, expert]
            else:
                name = f"model.layers.{layer - 1}.block_sparse_moe.experts.{expert}.w1"
                squares = tensors[name]
            assert (squares == 0).all() == (expert in unused)
    line = re.sub(r"experts? [\d, ]+ of", "experts 1, 7 of", done.err.splitlines()[0])
    compatibility("Outputs", f"an expert without tokens: `export {kind}`", "warned", line)


def test_an_export_names_a_routed_layer_without_a_finite_token(tmp_path: Path) -> None:
    path = sweep_inputs(tmp_path, damaged=2, **EXPERTS)
    done = run("export", "imatrix", path, tmp_path / "out")
    assert done.code == 0
    tensors = exported("imatrix", tmp_path / "out")
    assert not any(name.startswith(("blk.2.", "blk.3.")) for name in tensors)
    for layer in (3, 4):
        assert f"warning: layer {layer}: no finite token: without its experts\n" in done.err


def test_sums_beyond_float32_are_named_and_left_out(
    sweep: Callable[..., Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    path = Path(shutil.copy(sweep("inputs_alone"), tmp_path / "large.h5"))
    with h5py.File(path, "r+") as file:
        file["mlp_input/channel_sum_square"][2, 5] = 1e39
    done = run("export", "imatrix", path, tmp_path / "out")
    line = "warning: layer 2: values beyond float32: without blk.1.ffn_gate.weight, blk.1.ffn_up.weight"
    assert done.code == 0 and line in done.err.splitlines()
    tensors = exported("imatrix", tmp_path / "out")
    assert "blk.1.ffn_up.weight.in_sum2" not in tensors and "blk.2.ffn_up.weight.in_sum2" in tensors
    compatibility("Outputs", "a sum of squares beyond float32: `export imatrix`", "warned", line)


def broken_files(whole: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    """By what they are: a path, and what is said of it."""
    content = whole.read_bytes()
    paths = {name: folder / f"{name}.h5" for name in ("text", "empty", "cut", "other", "unfinished")}
    paths["text"].write_text("no HDF5")
    paths["empty"].touch()
    (folder / "folder").mkdir()
    paths["cut"].write_bytes(content[:1000])
    with h5py.File(paths["other"], "w") as file:
        file["x"] = [1]
    for name in ("unfinished", "unnamed", "headless"):
        paths[name] = Path(shutil.copy(whole, folder / f"{name}.h5"))
    with h5py.File(paths["unfinished"], "r+") as file:
        del file.attrs["complete"]
    with h5py.File(paths["unnamed"], "r+") as file:
        del file.attrs["model_name"]
    with h5py.File(paths["headless"], "r+") as file:
        del file["tokens"]
    attribute = "expected root attribute"
    return {
        "a file that is not HDF5": (paths["text"], "expected an HDF5 file, found another kind of file"),
        "an empty file": (paths["empty"], "expected an HDF5 file, found an empty file"),
        "a truncated sweep file": (paths["cut"], "expected an HDF5 file, found the first 1,000 bytes of one"),
        "HDF5 of another kind": (
            paths["other"], f"{attribute} schema = 'actsweep', found no such attribute"
        ),
        "a token file in place of a sweep file": (
            folder / "corpus.h5", f"{attribute} schema = 'actsweep', found 'actsweep-corpus'"
        ),
        "an unfinished sweep file": (
            paths["unfinished"],
            f"{attribute} complete = 1, found no such attribute; the sweep has not finished",
        ),
        "a sweep file without one of its root attributes": (
            paths["unnamed"], f"{attribute} model_name, found no such attribute"
        ),
        "a sweep file without one of its groups": (
            paths["headless"], "expected a group '/tokens', found none"
        ),
        "a folder in place of a sweep file": (
            folder / "folder", "expected a sweep file, found a folder"
        ),
        "a path without a file": (folder / "none.h5", "expected a sweep file, found no such file"),
    }  # fmt: skip


def test_files_that_are_no_sweeps_are_one_line_in_every_command(
    sweep: Callable[..., Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    whole = sweep("attention_alone")
    make_corpus(tmp_path / "corpus.h5", 32)
    for what, (path, said) in broken_files(whole, tmp_path).items():
        commands = (
            ("info", path), ("pictures", path, "-o", tmp_path / "out"),
            ("report", path, "-o", tmp_path / "out"), ("report", whole, path, "-o", tmp_path / "out"),
            ("compare", path, whole), ("compare", whole, path),
            ("export", "imatrix", path, tmp_path / "out"),
            ("export", "smoothquant", path, tmp_path / "out"),
        )  # fmt: skip
        for command in commands:
            done = run(*command)
            assert (done.code, done.out) == (2, ""), (what, command)
            assert done.line.startswith(f"actsweep: {path}: {said}"), (what, command, done.line)
            assert not (tmp_path / "out").exists(), (what, command)
        compatibility("Outputs", f"{what}: `python -m actsweep`", "refused", f"{path.name}: {said}")


def test_a_damaged_dataset_is_one_line(
    sweep: Callable[..., Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    path = Path(shutil.copy(sweep("all_sites"), tmp_path / "damaged.h5"))
    with h5py.File(path) as file:
        dataset = file["magnitude_bin"]  # a coordinate of every site
        assert dataset.compression == "gzip"
        chunk = dataset.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(content)
    for command in (
        ("info", path),
        ("pictures", path, "-o", tmp_path / "out"),
        ("report", path, "-o", tmp_path / "out"),
        ("export", "imatrix", path, tmp_path / "out"),
    ):
        done = run(*command)
        assert done.code == 2, command
        assert done.line == f"actsweep: {path}: cannot be read: a dataset is damaged", command
    what = "a sweep file with a damaged dataset: `python -m actsweep`"
    compatibility("Outputs", what, "refused", done.line.removeprefix("actsweep: "))


def test_places_that_cannot_be_written_are_one_line_and_exit_code_6(
    sweep: Callable[..., Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    path = sweep("inputs_alone")
    content = path.read_bytes()
    occupied = tmp_path / "file"
    occupied.write_text("x")
    for command in (
        ("pictures", path, "-o", occupied),
        ("report", path, "-o", occupied),
        ("export", "imatrix", path, occupied / "out"),
        ("export", "smoothquant", path, tmp_path / "none" / "out"),
        ("export", "imatrix", path, tmp_path / ("n" * 300)),
        ("export", "smoothquant", path, tmp_path),
        ("export", "imatrix", path, path),
    ):
        done = run(*command)
        place = path if command[-1] == path else tmp_path
        assert done.code == 6 and done.line.startswith(f"actsweep: {place}"), command
        assert sorted(tmp_path.iterdir()) == [occupied]
    assert done.line == f"actsweep: {path}: is the sweep file itself; expected another name"
    assert path.read_bytes() == content and occupied.read_text() == "x"
    assert not list(path.parent.glob("*.partial"))
    done = run("report", path, "-o", occupied)
    compatibility("Outputs", "a report into a file's place", "refused", done.line.removeprefix("actsweep: "))


def test_without_a_command_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    listed = capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0 and capsys.readouterr().out == listed
    lines = [line.split(maxsplit=1) for line in listed.split("COMMAND\n")[1].splitlines()]
    assert [name for name, _ in lines] == [
        "pictures", "report", "compare", "export", "tasks", "verify", "sweep", "info",
    ]  # fmt: skip
    assert all(text for _, text in lines)
