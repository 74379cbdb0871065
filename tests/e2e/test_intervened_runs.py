"""Interventions in whole runs: what is refused, merging, the table of `show`, identity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from running import (
    Run,
    make_corpus,
    make_job,
    make_model,
    refuse,
    run_alone,
    run_well,
    write_job,
)

JOB_ERROR = 2
OUTPUT_ERROR = 6
ALONE = {"tensor": 1}
ZERO = {"layer": 2, "channels": [3, 47], "tokens": "position:0", "action": "zero"}
MEAN = {"layer": 2, "channels": [3], "tokens": "all", "action": "mean"}

Job = Callable[..., Path]


@pytest.fixture(scope="module")
def base(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep without interventions."""
    folder = tmp_path_factory.mktemp("base")
    job = make_job(model, corpus, folder / "base.h5", parallel=ALONE)
    run_well(write_job(folder / "base.toml", job), 1)
    return folder / "base.h5"


@pytest.fixture
def write(model: Path, corpus: Path, tmp_path: Path) -> Job:
    """Writes a job with these tables to sweep.h5 of the test's folder; sections change keys."""

    def job(*tables: dict[str, Any], name: str = "sweep", **sections: Any) -> Path:
        parallel = ALONE | sections.pop("parallel", {})
        made = make_job(
            model, corpus, tmp_path / f"{name}.h5", parallel=parallel, intervention=list(tables),
            **sections,
        )  # fmt: skip
        return write_job(tmp_path / f"{name}.toml", made)

    return job


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer": 5}, "[[intervention]] 2 layer = 5: expected at most the model's 4 layers"),
        ({"channels": [3, 48]}, "channels: expected channels below 48, found 48"),
        ({"channels": "median", "count": 49}, "count = 49: expected at most the model's 48"),
        ({"tokens": "registers"}, 'expected a model with registers, found one of type "llama"'),
        ({"tokens": "position:16"}, "expected a position below the 16 tokens of a window"),
    ],
)
def test_what_the_model_lacks_is_refused(changes: dict[str, Any], words: str, write: Job) -> None:
    refuse(write(ZERO, ZERO | changes), JOB_ERROR, words, "[[intervention]] 2", ranks=1)


INSIDE = {"layer": 2, "site": "value", "heads": [0], "tokens": "all", "action": "zero"}
NEURONS = {"layer": 2, "site": "mlp_hidden", "channels": [1], "tokens": "all", "action": "zero"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (INSIDE | {"layer": 5}, "layer = 5: expected at most the model's 4 layers"),
        (INSIDE | {"heads": [0, 9]}, "heads: expected heads below"),
        (NEURONS | {"site": "q_latent"}, 'site = "q_latent": llama makes no latent of queries'),
        (NEURONS | {"site": "kv_latent"}, 'site = "kv_latent": llama has no latent attention'),
        (NEURONS | {"channels": [10**6]}, "channels: expected channels below"),
        (
            {"layer": 2, "weight": "down", "row": 48, "column": 0, "action": "zero"},
            "row: expected row below 48, found 48",
        ),
        (
            {"layer": 2, "weight": "down", "row": 0, "column": 10**6, "action": "zero"},
            "column: expected column below",
        ),
        (
            {"layer": 2, "site": "mlp_output", "experts": [0], "tokens": "all", "action": "zero"},
            "experts: llama has no routed experts",
        ),
        (NEURONS | {"channels": "random", "count": 10**6}, "count = 1000000: expected at most"),
    ],
)
def test_what_the_inside_of_the_model_lacks_is_refused(
    table: dict[str, Any], words: str, write: Job
) -> None:
    refuse(write(ZERO, table), JOB_ERROR, words, "[[intervention]] 2", ranks=1)


def test_means_of_a_site_need_a_file_that_measured_it(write: Job, base: Path) -> None:
    for action in ("mean", "noise"):
        table = NEURONS | {"action": action, "from": str(base)}
        words = "it has no dataset /mlp_hidden/class_sum"
        refuse(write(table), JOB_ERROR, str(base), words, "[[intervention]] 1", ranks=2)


@pytest.mark.parametrize("site", ["mlp_hidden", "mlp_output"])
def test_a_class_without_a_mean_at_a_site_ends_all_ranks(
    site: str, write: Job, tmp_path: Path
) -> None:
    run_well(write(name="seen", statistics={"sites": [site]}), 1)

    def empty(file: h5py.File) -> None:
        file[f"{site}/class_count"][2, 3] = 0

    path = spoil(tmp_path / "seen.h5", tmp_path / "means.h5", empty)
    table = NEURONS | {"site": site, "action": "mean", "from": str(path)}
    run = Run(write(table, parallel={"tensor": 2}), 2)
    assert run.finish() == JOB_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]  # of each rank that has such a token
    assert 1 <= len(errors) <= 2, run.log()
    for line in errors:
        assert str(path) in line and "expected a mean at layer 2, found none" in line


def test_all_mistakes_of_tables_are_reported_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        "[model]\npath = 'm'\n[corpus]\npath = 'c'\n[output]\npath = 'o'\n"
        "[[intervention]]\nlayer = 1\nchannels = [1]\ntokens = 'all'\naction = 'mean'\n"
        "[[intervention]]\nlayer = 'every'\nchanels = 'all'\n"
    )
    refuse(
        path,
        JOB_ERROR,
        f'{path}:11: [[intervention]] action: "mean" takes its mean from value or from',
        f"{path}:12: [[intervention]] channels: missing, but required",
        f"{path}:12: [[intervention]] tokens: missing, but required",
        f'{path}:13: [[intervention]] layer: expected an integer of at least 0, or "all"',
        f'{path}:14: [[intervention]] chanels: unknown key; did you mean "channels"?',
        ranks=1,
    )


def spoil(source: Path, target: Path, change: Callable[[h5py.File], object]) -> Path:
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def test_means_of_other_files_are_refused(
    write: Job, base: Path, corpus: Path, tmp_path: Path
) -> None:
    unfinished = spoil(base, tmp_path / "a.h5", lambda file: file.attrs.__delitem__("complete"))
    without = spoil(base, tmp_path / "b.h5", lambda file: file.__delitem__("residual/class_sum"))
    other = make_model(tmp_path / "models" / "other", initializer_range=0.2)
    job = make_job(other, corpus, tmp_path / "other.h5", parallel=ALONE)
    run_well(write_job(tmp_path / "other.toml", job), 1)
    for path, words in (
        (tmp_path / "other.h5", "expected a sweep of this model, with model_fingerprint"),
        (corpus, "expected a complete sweep file, found another file"),
        (unfinished, "expected a complete sweep file, found another file"),
        (without, "it has no dataset /residual/class_sum"),
        (tmp_path / "missing.h5", "missing.h5"),
    ):
        refuse(write(MEAN | {"from": str(path)}), JOB_ERROR, str(path), words, ranks=1)


def test_a_class_without_a_mean_is_refused(write: Job, base: Path, tmp_path: Path) -> None:
    def empty(file: h5py.File) -> None:
        file["residual/class_count"][2, 3] = 0

    path = spoil(base, tmp_path / "means.h5", empty)
    refuse(write(MEAN | {"from": str(path)}), JOB_ERROR, "expected a mean at layer 2, found none", ranks=1)


def test_registers_need_a_file_with_them(write: Job, base: Path) -> None:
    table = MEAN | {"tokens": "registers", "from": str(base)}
    refuse(write(table), JOB_ERROR, "expected a model with registers", ranks=1)


RAGGED = {"sequence_length": 512, "windows": "per_document"}  # of documents of all lengths


@pytest.mark.parametrize("variant", [{}, {"variant": "late"}])
def test_an_intervention_that_matches_nothing_leaves_no_file(
    variant: dict[str, str], write: Job, model: Path, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path / "short.h5", 400)
    job = write(
        ZERO,
        ZERO | {"tokens": "position:500"} | variant,
        corpus=RAGGED | {"path": str(corpus)},
        parallel={"microbatch_tokens": 1024, "block_tokens": 1024},
    )
    words = ("[[intervention]] 2: matched no activation in the whole sweep", "position:500")
    for ranks in (1, 2):  # the second run finds the segments, and no other result
        refuse(job, JOB_ERROR, *words, ranks=ranks)
        assert not (tmp_path / "sweep.h5").exists()
        assert not list(tmp_path.glob("*.partial*"))


def test_a_match_in_one_shard_is_enough(write: Job, tmp_path: Path) -> None:
    """Where no window of a shard reaches the position, the counts of the others decide."""
    corpus = make_corpus(tmp_path / "short.h5", 400)
    with h5py.File(corpus, "r+") as file:
        file["document_offset"][...] = np.array([0, 20, 40, 60, 80, 100, 120, 400], "<u8")
    job = write(
        ZERO | {"tokens": "position:200"},
        corpus={"sequence_length": 280, "windows": "per_document", "path": str(corpus)},
        parallel={"microbatch_tokens": 280, "block_tokens": 280},
        output={"segment_tokens": 280},
    )
    for shard in ("0/2", "1/2"):
        run_well(job, 1, f"corpus.shard={shard}")
    run_well(job, 1)
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file["interventions/matched_tokens"][()].tolist() == [1]
        assert file["interventions/changed_activations"][()].tolist() == [2]
        assert (np.asarray(file["sequences/length"]) > 200).sum() == 1


def test_variants_need_the_loss(write: Job) -> None:
    table = ZERO | {"variant": "zero"}
    words = "expected [statistics] loss = true, or classifier, found neither"
    refuse(write(table, statistics={"loss": False}), JOB_ERROR, words, ranks=1)


def test_the_file_of_other_interventions_is_refused(
    write: Job, base: Path, tmp_path: Path
) -> None:
    """Their keys are named; the same means at another place are the same job."""
    table = MEAN | {"from": str(base)}
    run_well(write(table), 1)
    moved = tmp_path / "moved.h5"
    moved.write_bytes(base.read_bytes())
    assert "nothing to do" in run_well(write(table | {"from": str(moved)}), 1)
    refuse(
        write({k: table[k] for k in ("layer", "channels", "tokens", "action")} | {"value": 1.5}),
        OUTPUT_ERROR,
        "intervention.1.value: 1.5 here, not set",
        "intervention.1.from: not set here",
        ranks=1,
    )
    refuse(write(), OUTPUT_ERROR, "intervention.1.layer: not set here, 2", ranks=1)


VARIANTS = [
    ZERO | {"variant": "zero"},
    {"layer": 1, "channels": "random", "tokens": "argmax", "action": "scale", "value": 3.0},
    {"layer": 4, "channels": "all", "tokens": "position:2", "action": "value", "value": 9,
     "variant": "all-9"},
]  # fmt: skip


def test_merged_files_add_up(write: Job, tmp_path: Path) -> None:
    files = []
    for seed in (1, 2):
        corpus = make_corpus(tmp_path / f"corpus{seed}.h5", 200 * seed, seed=seed)
        run_well(write(*VARIANTS, name=f"part{seed}", corpus={"path": str(corpus)}), 1)
        files.append(tmp_path / f"part{seed}.h5")
    result = run_alone("merge", *files, "-o", tmp_path / "merged.h5")
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "merged.h5") as merged:
        parts = [h5py.File(path) for path in files]
        for name in ("matched_tokens", "changed_activations"):
            for group, length in (("interventions", 3), ("variants", 2)):
                both = sum(part[f"{group}/{name}"][()] for part in parts)
                assert merged[f"{group}/{name}"].shape == (length,)
                np.testing.assert_array_equal(merged[f"{group}/{name}"], both)
        sums = sum(part["variants/nll_sum"][()] for part in parts)
        count = sum(part["variants/target_count"][()] for part in parts)
        np.testing.assert_allclose(merged["variants/nll_sum"], sums, rtol=1e-12)
        np.testing.assert_allclose(merged["variants/perplexity"], np.exp(sums / count), rtol=1e-12)
        rows = [part["variants/token_nll"][()] for part in parts]
        np.testing.assert_array_equal(merged["variants/token_nll"], np.concatenate(rows, axis=1))
        for name in ("intervention", "variants"):
            assert merged.attrs[name] == parts[0].attrs[name]
    other = [VARIANTS[0] | {"layer": 3}, *VARIANTS[1:]]
    corpus = make_corpus(tmp_path / "corpus3.h5", 200, seed=3)
    run_well(write(*other, name="other", corpus={"path": str(corpus)}), 1)
    result = run_alone("merge", files[0], tmp_path / "other.h5", "-o", tmp_path / "no.h5")
    assert result.returncode == OUTPUT_ERROR and "intervention.1.layer" in result.stderr


def test_xarray_reads_variants(write: Job, tmp_path: Path) -> None:
    run_well(write(*VARIANTS), 1)
    with xr.open_datatree(tmp_path / "sweep.h5", engine="h5netcdf") as tree:
        variants = tree["variants"].to_dataset()
        assert variants["token_nll"].dims == ("variant", "token")
        assert variants["perplexity"].dims == ("variant",)
        counts = tree["interventions"].to_dataset()["changed_activations"]
        assert counts.dims == ("intervention",)
        with h5py.File(tmp_path / "sweep.h5") as file:
            np.testing.assert_array_equal(counts, file["interventions/changed_activations"])
            np.testing.assert_array_equal(variants["token_nll"], file["variants/token_nll"])


def test_show_says_what_was_intervened(write: Job, base: Path, tmp_path: Path) -> None:
    run_well(write(*VARIANTS), 1)
    text = run_alone("show", tmp_path / "sweep.h5").stdout
    assert (
        '  intervened  layer = 1, channels = "random", tokens = "argmax", action = "scale", '
        "value = 3.0, count = 2, seed = 0\n" in text
    )
    lines = text[text.index("Perplexity of variants") :].splitlines()
    assert lines[1].split() == ["variant", "over", "tokens", "mean", "of", "windows", "tokens",
                                "matched", "activations", "changed"]  # fmt: skip
    with h5py.File(tmp_path / "sweep.h5") as file:
        original = file["loss/token_nll"].attrs["perplexity"]
        own = file["variants/perplexity"][()]
    for line, name, value in zip(
        lines[2:5], ("(original)", "zero", "all-9"), (original, *own), strict=True
    ):
        cells = line.split()
        assert cells[0] == name
        assert float(cells[1].replace(",", "")) == pytest.approx(value, rel=1e-3, abs=0.5)
    assert lines[3].split()[3:] == ["156", "312"]
    plain = run_alone("show", base).stdout
    assert "intervened" not in plain and "variants" not in plain
