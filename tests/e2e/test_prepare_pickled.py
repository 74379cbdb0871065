"""data/prepare_model.py torch: checkpoints of torch.save become safetensors, and nothing of a file is run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from preparing import MIB, peak_memory_bytes, refusal_of, run_well
from preparation import pickled_checkpoint
from support.compatibility import Compatibility
from support.gguf_files import llama
from whole_models import load_whole

INDEX = "pytorch_model.bin.index.json"
State = dict[str, torch.Tensor]


def saved(folder: Path, dtype: torch.dtype = torch.float32) -> State:
    """A model as transformers saves it, in which no weights file is left; its weights."""
    llama().to(dtype).save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    return state


def in_shards(folder: Path, state: State, count: int) -> dict[str, str]:
    """As transformers 4 wrote a large model; the map of names to files."""
    places = {}
    for part in range(count):
        name = f"pytorch_model-{part + 1:05d}-of-{count:05d}.bin"
        torch.save({key: state[key] for key in list(state)[part::count]}, folder / name)
        places |= dict.fromkeys(list(state)[part::count], name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def single(folder: Path, state: State) -> None:
    torch.save(state, folder / "pytorch_model.bin")


def old_format(folder: Path, state: State) -> None:
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def wrapped(folder: Path, state: State) -> None:
    torch.save({"state_dict": state, "step": 3}, folder / "pytorch_model.bin")


FORMS: dict[str, Callable[[Path, State], object]] = {
    "pytorch_model.bin": single,
    "pytorch_model.bin, sharded with an index": lambda folder, state: in_shards(folder, state, 3),
    "pytorch_model.bin of the format before PyTorch 1.6": old_format,
    'pytorch_model.bin with its weights under "state_dict"': wrapped,
}


DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.bfloat16)


@pytest.mark.parametrize(("form", "dtype"), list(zip(FORMS, DTYPES, strict=True)))
def test_weights_and_their_types_are_kept(
    form: str, dtype: torch.dtype, tmp_path: Path, compatibility: Compatibility
) -> None:
    source = tmp_path / "source"
    state = saved(source, dtype)
    FORMS[form](source, state)
    pickled_checkpoint.convert(source, tmp_path / "model", None)
    found = load_file(tmp_path / "model/model.safetensors")
    assert found.keys() == state.keys()
    for name, values in state.items():
        assert found[name].dtype == dtype and torch.equal(found[name], values), name
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.safetensors", "config.json", "generation_config.json"}
    load_whole(tmp_path / "model", dtype)
    compatibility("Checkpoints", f"{form}: by prepare_model.py torch", "read")


def test_a_pth_file_and_another_dtype(tmp_path: Path) -> None:
    source = tmp_path / "source"
    state = saved(source)
    torch.save(state | {"steps": torch.tensor([7])}, source / "mine.pth")
    run_well("prepare_model.py", "torch", source / "mine.pth", tmp_path / "model", "--dtype", "bfloat16")
    found = load_file(tmp_path / "model/model.safetensors")
    for name, values in state.items():
        assert torch.equal(found[name], values.to(torch.bfloat16)), name
    assert found["steps"].dtype == torch.int64 and found["steps"].tolist() == [7]


class Harmful:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("open('was_run', 'w')",)


def harmful(folder: Path, state: State) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(state | {"x": Harmful()}, protocol=2))


def cut(folder: Path, state: State) -> None:
    single(folder, state)
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:2000])


def misplaced(folder: Path, state: State) -> None:
    places = in_shards(folder, state, 2)
    name = next(iter(places))
    moved = places | {name: next(file for file in places.values() if file != places[name])}
    (folder / INDEX).write_text(json.dumps({"weight_map": moved}))


def without_a_shard(folder: Path, state: State) -> None:
    (folder / min(in_shards(folder, state, 2).values())).unlink()


def outside(folder: Path, state: State) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"x": "../pytorch_model.bin"}}))


def too_deep(folder: Path, state: State) -> None:
    (folder / INDEX).write_text("[" * 100_000)


def without_config(folder: Path, state: State) -> None:
    single(folder, state)
    (folder / "config.json").unlink()


REFUSED: dict[str, tuple[Callable[[Path, State], object], str]] = {
    "a pickle that would run code": (harmful, "is not a checkpoint of only tensors and numbers"),
    "a PyTorch file that is cut": (cut, "is not a whole checkpoint"),
    "an index of PyTorch files that places a tensor wrongly": (misplaced, "found it not"),
    "an index of PyTorch files without one of them": (without_a_shard, "no such file"),
    "an index of PyTorch files that leads out of its directory": (
        outside, "expected a file of this directory"),
    "an index of PyTorch files, 100,000 brackets deep": (too_deep, "brackets are nested too deeply"),
    "pytorch_model.bin without config.json": (without_config, "expected config.json beside the weights"),
    "a directory without weights, for prepare_model.py torch": (
        lambda folder, state: None, "expected pytorch_model.bin or"),
    "tensors by Meta's names": (
        lambda folder, state: single(folder, {"tok_embeddings.weight": torch.zeros(2, 2)}),
        "Meta's own names"),
    "a PyTorch file with something beside its weights": (
        lambda folder, state: torch.save(state | {"step": 3}, folder / "pytorch_model.bin"),
        "'step': expected a dense tensor, found int"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_checkpoint_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compatibility: Compatibility
) -> None:
    source = tmp_path / "source"
    make, words = REFUSED[what]
    make(source, saved(source))
    monkeypatch.chdir(tmp_path)
    message = refusal_of(pickled_checkpoint.convert, source, tmp_path / "model", None)
    assert words in message
    assert {path.name for path in tmp_path.iterdir()} == {"source"}
    compatibility("Checkpoints", what, "refused", message)


def test_memory_is_bounded_by_a_tensor(tmp_path: Path) -> None:
    """Of a checkpoint in two files the peak grows by much less than its bytes."""
    peaks = []
    for layers in (1, 13):
        source = tmp_path / f"source-{layers}"
        source.mkdir()
        (source / "config.json").write_text("{}")
        state = {f"layers.{i}.weight": torch.full((1 << 20, 4), i / 8) for i in range(layers)}
        in_shards(source, state, min(2, layers))
        peaks.append(peak_memory_bytes("prepare_model.py", "torch", source, tmp_path / f"model-{layers}"))
    assert peaks[1] - peaks[0] < 100 * MIB  # of 192 more
