"""Every byte of every tensor that is read is in the model's fingerprint, and no byte is read twice.

A finished sweep tells whether a later run is of the same model: of the same one "nothing to do" is
said, of another one the run is refused. What a run or a plan has read of a file is told by the pages of
it that the system holds (fincore of util-linux).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from running import PROGRAM, make_corpus, make_job, refuse, run_alone, run_well, write_job
from safetensors.torch import load_file

from support.checkpoint_forms import (
    EMBEDDING,
    HEAD,
    SINGLE,
    TIED,
    Form,
    bare,
    save,
    without,
    write_index,
)
from support.compatibility import Compatibility
from support.sparse_checkpoints import SparseCheckpoint

OUTPUT_ERROR = 6
LARGE = "model.layers.1.mlp.up_proj.weight"  # [2730, 48] float32: 512 KiB
AGE_S = 0.2  # of a file whose digests are kept


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from running import make_model

    return make_model(tmp_path_factory.mktemp("models") / "wide", intermediate_size=2731)


@pytest.fixture
def form(wide: Path, tmp_path: Path) -> Form:
    return Form.of(wide, tmp_path / "form")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "caches"


@pytest.fixture
def job(form: Form, tmp_path: Path) -> Path:
    corpus = make_corpus(tmp_path / "corpus.h5", 64)
    return write_job(tmp_path / "job.toml", make_job(form.directory, corpus, tmp_path / "sweep.h5"))


def run(job: Path, cache: Path) -> str:
    time.sleep(AGE_S)
    return run_well(job, 2, XDG_CACHE_HOME=str(cache))


def fingerprint(job: Path) -> str:
    with h5py.File(job.parent / "sweep.h5") as sweep:
        return str(sweep.attrs["model_fingerprint"])


def forget(*paths: Path) -> None:
    """Has the system give the pages of files back."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def resident_bytes(path: Path) -> int:
    """What the system holds of a file."""
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# --- what is in it -------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_times", [False, True], ids=["plainly", "with its old times"])
def test_one_weight_in_the_middle_of_a_tensor_makes_another_model(
    keeps_times: bool, form: Form, job: Path, cache: Path, compatibility: Compatibility
) -> None:
    form.save()
    run(job, cache)
    path = form.directory / SINGLE
    before = path.stat()
    values = np.memmap(path, np.uint8, mode="r+")
    header = int(values[:8].view("<u8")[0])
    begin, end = json.loads(bytes(values[8 : 8 + header]))[LARGE]["data_offsets"]
    assert end - begin == 2731 * 48 * 4 > 1 << 19
    values[8 + header + (begin + end) // 2] ^= 1
    values.flush()
    if keeps_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    time.sleep(AGE_S)
    log = refuse(job, OUTPUT_ERROR, "made by a different job", "model.fingerprint")
    assert "nothing to do" not in log
    compatibility("Checkpoints", "one weight changed since the sweep began", "refused", "sweep.h5: "
                  "made by a different job; expected its identity to be this job's")  # fmt: skip


def shards(form: Form) -> None:
    form.shard(3)


def shards_in_another_order(form: Form) -> None:
    names = sorted(form.tensors, reverse=True)
    save(form.directory / "b.safetensors", {name: form.tensors[name] for name in names[:9]})
    save(form.directory / "a.safetensors", {name: form.tensors[name] for name in names[9:]})
    places = {name: "b.safetensors" if name in names[:9] else "a.safetensors" for name in names}
    write_index(form.directory, places)


def head_alone(form: Form) -> None:
    form.save(without(form.tensors, [EMBEDDING]))


def embedding_alone(form: Form) -> None:
    form.save(without(form.tensors, [HEAD]))


def bare_model(form: Form) -> None:
    form.save(bare(form.tensors))


def with_buffers(form: Form) -> None:
    form.save({**form.tensors, "model.rotary_emb.inv_freq": torch.ones(4)})


@pytest.mark.parametrize(
    "change",
    [shards, shards_in_another_order, head_alone, embedding_alone, bare_model, with_buffers],
    ids=lambda change: change.__name__,
)
def test_the_same_weights_in_other_files_are_the_same_model(
    change, form: Form, job: Path, cache: Path
) -> None:
    form.configure(**TIED)
    form.tensors[HEAD] = form.tensors[EMBEDDING]
    form.save()
    run(job, cache)
    (form.directory / SINGLE).unlink()
    change(form)
    assert "nothing to do" in run(job, cache)


def test_a_number_of_another_dtype_is_another_model(form: Form, job: Path, cache: Path) -> None:
    form.tensors = {name: tensor.bfloat16() for name, tensor in form.tensors.items()}
    form.save()
    run(job, cache)
    form.save({name: tensor.float() for name, tensor in form.tensors.items()})
    refuse(job, OUTPUT_ERROR, "model.fingerprint")


# --- what is read --------------------------------------------------------------------------------


def test_second_start_reads_no_weights(form: Form, job: Path, cache: Path) -> None:
    """Nor does a plan, which reads none at any time."""
    paths = form.shard(3)
    forget(*paths)
    assert run_alone("plan", job, "--ranks", 2).returncode == 0
    planned = [resident_bytes(path) for path in paths]
    run(job, cache)
    first = fingerprint(job)
    forget(*paths)
    assert "nothing to do" in run(job, cache)
    for path, after_plan in zip(paths, planned, strict=True):
        size = path.stat().st_size
        assert size > 400_000 and max(after_plan, resident_bytes(path)) < size / 2
    shutil.rmtree(cache)
    assert "nothing to do" in run(job, cache)
    for path in paths:
        assert resident_bytes(path) >= path.stat().st_size
    assert fingerprint(job) == first


def test_of_a_replaced_shard_alone_is_read_again(form: Form, job: Path, cache: Path) -> None:
    paths = form.shard(3)
    run(job, cache)
    again = load_file(paths[1])
    save(paths[1], again)
    forget(*paths)
    assert "nothing to do" in run(job, cache)
    is_whole = [resident_bytes(path) >= path.stat().st_size for path in paths]
    assert is_whole == [False, True, False]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"a", b"b"),
        lambda text: bytes(4096),
        lambda text: text + text,
    ],
    ids=["empty", "cut short", "changed", "zeros", "doubled"],
)
def test_spoilt_cache_is_as_none(spoil, form: Form, job: Path, cache: Path) -> None:
    form.save()
    run(job, cache)
    (entry,) = (cache / "actsweep").iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(spoil(whole))
    assert "nothing to do" in run(job, cache)
    assert entry.read_bytes() == whole  # made anew


def test_other_weights_under_a_spoilt_entry_are_found(form: Form, job: Path, cache: Path) -> None:
    """An entry that names the new state but holds the old digests fails its own sum."""
    form.save()
    run(job, cache)
    (entry,) = (cache / "actsweep").iterdir()
    old = entry.read_bytes().splitlines(keepends=True)
    form.save(form.changed())
    time.sleep(AGE_S)
    state = (form.directory / SINGLE).stat()
    old[2] = (
        f"{state.st_dev} {state.st_ino} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}\n"
    ).encode()
    entry.write_bytes(b"".join(old))
    log = refuse(job, OUTPUT_ERROR, "model.fingerprint")
    assert "nothing to do" not in log


@pytest.mark.parametrize("place", ["a file", "nowhere", "relative"])
def test_run_goes_on_without_a_cache(place: str, form: Form, job: Path, tmp_path: Path) -> None:
    form.save()
    home = tmp_path / "home"
    home.write_text("")
    values = {"a file": str(home), "nowhere": "/proc/none", "relative": "caches"}
    log = run_well(job, 2, XDG_CACHE_HOME=values[place], HOME=str(home))
    assert "complete" in log and "] warning" not in log
    assert not Path("caches").exists()


def test_runs_at_once_share_a_cache(form: Form, job: Path, cache: Path, tmp_path: Path) -> None:
    form.shard(3)
    time.sleep(AGE_S)

    def sweep(number: int) -> str:
        own = tmp_path / str(number)
        own.mkdir()
        run_well(job, 1, "parallel.tensor=1", f"output.path={own / 'sweep.h5'}",
                 XDG_CACHE_HOME=str(cache))  # fmt: skip
        return fingerprint(own / "job.toml")

    with ThreadPoolExecutor(3) as runs:
        assert len(set(runs.map(sweep, range(6)))) == 1
    names = [path.name for path in (cache / "actsweep").iterdir()]
    assert len(names) == 3 and all(name.startswith("weights-") for name in names)


def test_weights_that_cannot_be_read_end_all_ranks(form: Form, job: Path, cache: Path) -> None:
    """The header lies in memory; of the data rank 0 is the reader."""
    form.save()
    path = form.directory / SINGLE
    size = path.stat().st_size
    save(form.directory / "short.safetensors", form.tensors)
    with path.open("r+b") as file:
        file.truncate(size - 10)
    refuse(job, 4, "may be truncated")


# --- large checkpoints ---------------------------------------------------------------------------


@pytest.mark.slow
def test_plan_of_a_large_checkpoint_reads_headers_alone(tmp_path: Path) -> None:
    """60 GB in 4,101 tensors, of which no page but those of the headers is touched."""
    model = SparseCheckpoint(layers=8, experts=128, channels=4096, expert_width=4096)
    directory = model.write(tmp_path / "model", shards=12)
    job = large_job(tmp_path, directory)
    result = run_alone("plan", job, "--ranks", 2, "--memory", 200)
    assert result.returncode == 0, result.stderr
    for shard in directory.glob("*.safetensors"):
        assert shard.stat().st_size > 1 << 30
        assert resident_bytes(shard) < 4 << 20


@pytest.mark.slow
def test_start_up_grows_with_the_number_of_tensors_and_no_faster(tmp_path: Path) -> None:
    """Four times the layers, four times the time: the least of three plans each, less that of a
    model of two layers. 36,945 tensors are those of Qwen3-235B-A22B."""
    seconds = {}
    for layers in (2, 24, 94):
        model = SparseCheckpoint(layers=layers, experts=128, channels=64, expert_width=16)
        directory = model.write(tmp_path / f"{layers}", shards=4)
        job = large_job(tmp_path, directory)
        seconds[layers] = min(plan_seconds(job) for _ in range(3))
    assert SparseCheckpoint(94, 128, 64, 16).tensors() == 36945
    growth = (seconds[94] - seconds[2]) / (seconds[24] - seconds[2])
    assert growth < 2 * (94 - 2) / (24 - 2), seconds


def large_job(folder: Path, directory: Path) -> Path:
    corpus = folder / "corpus.h5"
    if not corpus.exists():
        make_corpus(corpus, 64)
    sections = {"parallel": {"tensor": 1}, "statistics": {"loss": False}}
    job = make_job(directory, corpus, folder / "sweep.h5", **sections)
    return write_job(folder / "job.toml", job)


def plan_seconds(job: Path) -> float:
    """Of the processor, so that others on the machine count less."""
    before = os.times()
    command = [str(PROGRAM), "plan", str(job), "--ranks", "1"]
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
