"""Models that a job names as the local cache of Hugging Face has them: "hf:ORG/NAME"."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import h5py
import pytest
from huggingface_hub import constants, try_to_load_from_cache
from preparing import TEXT, assert_refused, write
from preparing import run as prepare
from preparing import run_well as prepare_well
from preparation.errors import PreparationError
from preparation.hub_cache import model_directory
from preparation.tokenizer_directory import load_tokenizer
from running import PROGRAM, make_job, run_alone, run_well, write_job

from actsweep.verify.program import ProgramFailed, find_program, model_facts

SMOLLM2_DIRECTORY = Path(__file__).resolve().parents[2] / "models" / "smollm2-135m-instruct"
MODEL_ERROR = 4
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def add_model(cache: Path, model: Path, name: str = "org/tiny", *, links: bool = False) -> Path:
    """A model as huggingface_hub stores it: blobs (or `links` to the model's own files), links to
    them by file, references to commits."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot, blobs, refs = folder / "snapshots" / COMMIT, folder / "blobs", folder / "refs"
    for made in (snapshot, blobs, refs):
        made.mkdir(parents=True)
    for file in model.iterdir():
        blob = blobs / f"{file.name}-blob"
        blob.symlink_to(file) if links else shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / f"{file.name}-blob")
    (refs / "main").write_text(COMMIT)
    return snapshot


@pytest.fixture
def cache(tmp_path: Path, model: Path) -> Path:
    add_model(tmp_path / "hub", model)
    return tmp_path / "hub"


def said_of(name: str, corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `plan` says of a model that it refuses."""
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    job = write_job(cache.parent / "job.toml", make_job(Path(name), corpus, cache.parent / "sweep.h5"))
    done = run_alone("plan", "--ranks", 2, job, f"--set=model.path={name}")
    assert done.returncode == MODEL_ERROR, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_name_is_its_snapshot(
    revision: str, cache: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = try_to_load_from_cache("org/tiny", "config.json", cache_dir=cache)
    assert Path(str(found)).parent.name == COMMIT  # the layout is huggingface_hub's
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    job = write_job(tmp_path / "job.toml", make_job(cache, corpus, tmp_path / "sweep.h5"))
    run_well(job, 2, f"model.path=hf:org/tiny{revision}")
    with h5py.File(tmp_path / "sweep.h5") as sweep:
        assert sweep.attrs["model_name"] == "org/tiny"
        assert sweep.attrs["model_revision"] == COMMIT


@pytest.mark.parametrize(
    "variables",
    [
        {"HF_HUB_CACHE": "hub", "HF_HOME": "elsewhere"},
        {"HF_HUB_CACHE": "${NAME_OF_CACHE}", "HF_HOME": "elsewhere"},
        {"HUGGINGFACE_HUB_CACHE": "hub", "XDG_CACHE_HOME": "elsewhere"},
        {"HF_HOME": ".", "XDG_CACHE_HOME": "elsewhere"},
        {"XDG_CACHE_HOME": "xdg"},
        {"HOME": "home"},
    ],
    ids=lambda variables: "-".join(variables) + "$" * ("$" in variables.get("HF_HUB_CACHE", "")),
)
def test_the_cache_is_where_huggingface_hub_has_it(
    variables: Mapping[str, str],
    cache: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in ("xdg/huggingface", "home/.cache/huggingface"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "hub").symlink_to(cache)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, place in variables.items():
        monkeypatch.setenv(name, str(tmp_path / place))
    monkeypatch.setenv("NAME_OF_CACHE", "hub")
    job = write_job(tmp_path / "job.toml", make_job(cache, corpus, tmp_path / "sweep.h5"))
    done = run_alone("plan", "--ranks", 2, job, "--set=model.path=hf:org/tiny")
    assert done.returncode == 0 and "org/tiny (llama" in done.stdout, done.stdout + done.stderr


def test_a_name_that_is_not_there_is_refused_with_those_that_are(
    cache: Path, model: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(cache, model, "gpt2")
    said = said_of("hf:org/tinny", corpus, cache, monkeypatch)
    assert "hf:org/tinny: expected a model of that name in the cache" in said
    assert "found of models: gpt2, org/tiny;" in said and "hf download org/tinny" in said


def test_a_revision_that_is_not_there_is_refused_with_those_that_are(
    cache: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = said_of("hf:org/tiny@v2", corpus, cache, monkeypatch)
    assert "expected the revision v2" in said and f"found of revisions: main, {COMMIT};" in said
    assert "hf download org/tiny --revision v2" in said


@pytest.mark.parametrize("name", ["hf:", "hf:/tiny", "hf:org/tiny@", "hf:org/../tiny", "hf:a/b/c"])
def test_other_words_are_refused(
    name: str, cache: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'expected "hf:ORG/MODEL"' in said_of(name, corpus, cache, monkeypatch)


def test_a_download_that_was_not_finished_is_told_from_a_missing_one(
    cache: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = cache / "models--org--tiny" / "snapshots" / COMMIT
    blobs = cache / "models--org--tiny" / "blobs"
    (blobs / "model.safetensors-blob").rename(blobs / "abc.incomplete")
    said = said_of("hf:org/tiny", corpus, cache, monkeypatch)
    assert f"{snapshot}/model.safetensors: expected the file that it links to, found none" in said
    (snapshot / "model.safetensors").unlink()
    said = said_of("hf:org/tiny", corpus, cache, monkeypatch)
    assert "found neither; a download of it was not finished (blobs/abc.incomplete)" in said
    (snapshot / "config.json").unlink()
    said = said_of("hf:org/tiny", corpus, cache, monkeypatch)
    assert "expected config.json, found a download that was not finished (blobs/abc.incomplete)" in said
    shutil.rmtree(snapshot)
    said = said_of("hf:org/tiny", corpus, cache, monkeypatch)
    assert "found a download that was not finished (blobs/abc.incomplete); to fetch it" in said


def test_data_and_verify_take_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = add_model(tmp_path / "hub", SMOLLM2_DIRECTORY, "org/smol", links=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))  # read when imported
    text = write(tmp_path / "text.txt", TEXT)
    made = []
    for name in ("hf:org/smol", f"hf:org/smol@{COMMIT}", SMOLLM2_DIRECTORY):
        output = tmp_path / f"{len(made)}.h5"
        prepare_well("prepare_corpus.py", text, "--tokenizer", name, "--output", output)
        with h5py.File(output) as file:
            made.append((file.attrs["corpus_fingerprint"], file.attrs["tokenizer_fingerprint"]))
    assert len(set(made)) == 1
    program = find_program(Path(PROGRAM))
    assert Path(model_facts(program, "hf:org/smol@main")["path"]) == snapshot
    assert_refused(
        prepare("prepare_corpus.py", text, "--tokenizer", "hf:org/small", "--output", tmp_path / "x.h5"),
        MODEL_ERROR,
        "hf:org/small: expected a snapshot of it in the cache",
        "found of models: org/smol; to fetch it, where there is a network: hf download org/small",
    )
    with pytest.raises(ProgramFailed, match="hf:org/small: ") as failed:
        model_facts(program, "hf:org/small")
    assert failed.value.code == MODEL_ERROR


def test_the_preparation_tells_what_is_missing_too(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))  # read when imported
    folder = cache / "models--org--tiny"
    snapshot = folder / "snapshots" / COMMIT

    def said(name: str) -> str:
        with pytest.raises(PreparationError) as refused:
            load_tokenizer(model_directory(Path(name)))
        assert refused.value.exit_code == MODEL_ERROR
        return str(refused.value)

    of_revision = said("hf:org/tiny@v2")
    assert "expected the revision v2 in" in of_revision and f"of revisions: {COMMIT}, main;" in of_revision
    assert "hf download org/tiny --revision v2" in of_revision
    (folder / "blobs/config.json-blob").rename(folder / "blobs/abc.incomplete")
    assert f"{snapshot}/config.json: expected the file that it links to, found none" in said("hf:org/tiny")
    (snapshot / "config.json").unlink()
    words = "a download of it was not finished (blobs/abc.incomplete)"
    assert "there is no tokenizer: " in said("hf:org/tiny") and words in said("hf:org/tiny")
    shutil.rmtree(snapshot)
    assert "found a download that was not finished (blobs/abc.incomplete); to fetch" in said("hf:org/tiny")


@pytest.mark.parametrize(
    "name",
    [
        "org/tiny", "org/tiny@main", f"org/tiny@{COMMIT}", "org/tiny@v2", "org/tinny", "org/tiny@",
        "", "/tiny", "org/../tiny", "a/b/c",
    ],
)  # fmt: skip
def test_the_program_and_the_preparation_find_the_same(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))  # read when imported
    done = run_alone("tensors", f"hf:{name}")
    found = json.loads(done.stdout.splitlines()[0])["path"] if done.returncode == 0 else done.returncode
    try:
        prepared: str | int = str(model_directory(Path(f"hf:{name}")))
    except PreparationError as error:
        prepared = error.exit_code
    assert found == prepared, done.stdout + done.stderr
