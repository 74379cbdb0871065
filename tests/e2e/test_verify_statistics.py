"""`python -m actsweep verify` on jobs with statistics: textbook code over transformers' attention and hooks,
held against the program; and the evidence that it leaves."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import transformers
from support.compatibility import Compatibility
from support.number_formats import FORMATS, square_errors
from support.random_models import MODELS, make_random, save
from support.slow_cases import slow_unless
from support.sweeps import Sweep
from support.token_files import Corpus, write_token_file
from verifying import CUT, LLAMA, Verified, Verify, job_of, llama, text_corpus, verify, with_tensors

from actsweep.verify import command
from actsweep.verify.formats import square_error

__all__ = ["llama", "verify"]  # fixtures

SITES = ["residual", "attention_input", "attention_heads", "mlp_input", "mlp_hidden"]
OF_SITE = ("channel_min", "channel_max", "kurtosis_sum", "kurtosis_max", "block16_histogram",
           "block32_histogram", "format_square", "format_error_square")  # fmt: skip
GEOMETRY = [f"geometry/{x}" for x in ("token_cos_first", "token_cos_previous", "participation",
                                      "participation_normed")]  # fmt: skip
RECEIVED = [f"attention_received/{x}" for x in ("token_mean", "token_largest_head", "top_mean",
                                                "top_position")]  # fmt: skip
SCORES = [f"scores/{x}" for x in ("largest", "position", "query_norm", "key_norm", "value_norm")]
UPDATES = [f"massive/{x}" for x in ("before", "attention_update", "mlp_update", "next_attention_update",
                                    "next_mlp_update")]  # fmt: skip
TO_SETS = [f"attention/{x}" for x in (
    "mass_sum", "logit_sum", "query_count", "key_count", "sequence_count", "set_value_norm_sum",
    "value_norm_sum", "token_count", "sink_sum", "sink_count", "sink_sequences", "sink_count_64",
    "sink_sequences_64", "entropy_sum", "entropy_rows",
)]  # fmt: skip
SETS = ["position:0", "class:delimiter:first", "class:weak_semantic:first", "events"]
LIFECYCLE = [f"lifecycle/{x}" for x in ("value", "attention_update", "mlp_update")]
EXPERTS = [*(f"experts/{x}_sum" for x in ("gate", "output_norm", "weighted_norm")),
           "experts/token_experts", "experts/token_gates"]  # fmt: skip
ALL = {
    "attention_received": True, "score_extrema": True, "event_updates": True, "geometry": True,
    "quantisation": True, "formats": list(FORMATS), "lifecycle": True, "lifecycle_channels": [3, 17],
    "attention": SETS,
}  # fmt: skip
EVENTS = {"criterion_magnitude": 0.01, "criterion_ratio": 1.5}  # which random models have


def all_of(sites: list[str]) -> set[str]:
    of_sites = {f"{site}/{name}" for site in sites for name in OF_SITE}
    return {*of_sites, *GEOMETRY, *RECEIVED, *SCORES, *UPDATES, *LIFECYCLE, *TO_SETS}


def statistic_rows(done: Verified) -> dict[str, list[str]]:
    """By dataset: difference, own error, bound …"""
    rows = [line.split() for line in done.out.splitlines()]
    return {row[0]: row[1:] for row in rows if row and "/" in row[0] and len(row) > 3}


def folder_of(name: str, folder: Path) -> Path:
    """A checkpoint of the first model of a family, and a token file."""
    model = next(model for model in MODELS if model.family == name)
    save(make_random(model), model, folder / "model")
    write_token_file(folder / "corpus.h5", text_corpus(model), {})
    return folder


def test_every_statistic_agrees(verify: Verify, llama: Path, tmp_path: Path) -> None:
    statistics = {**ALL, **EVENTS, "sites": SITES}
    done = verify(job_of(llama, tmp_path / "job.toml", statistics=statistics))
    assert (done.code, done.err) == (0, "")
    rows = statistic_rows(done)
    assert rows.keys() == all_of(SITES)
    assert all(float(row[0]) < 1e-4 and row[2] == "0.001" for row in rows.values())
    measured = {name for name, row in rows.items() if row[1] != "–" and float(row[1]) > 0}
    assert len(measured) > 30 and "scores/largest" in measured
    events = rows["massive/mlp_update"][3:]
    assert events[1:] == ["of", events[0], "events"] and int(events[0]) > 20
    assert done.verdict.endswith(f", {len(rows)} datasets of statistics too")


@pytest.mark.parametrize(
    "name",
    [
        *("mixtral", "gpt_oss", "jamba"),
        *(slow_unless(False, name) for name in ("falcon", "olmo2", "opt", "gemma2")),
    ],
)
def test_models_of_other_shapes_agree(name: str, verify: Verify, tmp_path: Path) -> None:
    """Experts, sinks, a parallel block, layers without attention, norms behind branches, queries that
    are scaled before, capped scores."""
    has_experts = name in ("mixtral", "gpt_oss")
    of_experts = {"experts": has_experts, "expert_rows": has_experts}
    sets = [*SETS, *(["learned"] if name == "gpt_oss" else [])]
    statistics = {**ALL, **EVENTS, **of_experts, "sites": ["residual"], "attention": sets}
    done = verify(job_of(folder_of(name, tmp_path), tmp_path / "job.toml", statistics=statistics))
    assert (done.code, done.err) == (0, "")
    expected = all_of(["residual"]) | set(EXPERTS if has_experts else ())
    notes = {line.split()[1] for line in done.out.splitlines() if " not compared: " in line}
    unseen = {
        "falcon": {"attention", "attention_received", "score_extrema"}, "opt": {"event_updates", "lifecycle"}
    }.get(name, set())  # fmt: skip
    assert notes == unseen
    unseen_rows = {
        *(RECEIVED + SCORES + TO_SETS if "score_extrema" in unseen else []),
        *(UPDATES + LIFECYCLE if "event_updates" in unseen else []),
    }
    assert statistic_rows(done).keys() == expected - unseen_rows


def test_equal_scores_at_many_places_are_no_difference(
    verify: Verify, llama: Path, tmp_path: Path
) -> None:
    """One token over and over: in the first block a score depends on the distance alone."""
    repeated = np.full(57, 9, np.uint32)
    text = text_corpus(LLAMA)
    corpus = Corpus(text.vocabulary, [repeated, *text.documents], text.classes)
    path = write_token_file(tmp_path / "corpus.h5", corpus, {})
    statistics = {"score_extrema": True, "attention_received": True}
    job = job_of(llama, tmp_path / "job.toml", corpus={"path": str(path)}, statistics=statistics)
    done = verify(job, "--windows", 3)
    assert (done.code, done.err) == (0, "") and "scores/position" in statistic_rows(done)


PLANTED = [
    *GEOMETRY, *RECEIVED, *TO_SETS, "scores/largest", "scores/query_position", "scores/key_norm", *UPDATES, *LIFECYCLE,
    *(f"residual/{name}" for name in OF_SITE), "mlp_input/channel_max",
]  # fmt: skip


def planted(values: np.ndarray, name: str) -> np.ndarray:
    """An error of a hundredth in the last layer or in each event, or another choice."""
    changed = values.copy()
    if name.startswith("massive"):
        changed *= 1.01
    elif "position" in name:
        changed[-1] += 1
    elif "histogram" in name:
        changed[-1] = np.roll(changed[-1], 1)
    elif changed.dtype.kind == "i":
        changed[-1] += 1
    else:
        changed[-1] = changed[-1] * 1.01 + 0.01 * np.abs(values[-1]).max()
    return changed


@pytest.fixture(scope="module")
def sides(llama: Path, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Both sides of one comparison."""
    statistics = {**ALL, **EVENTS, "sites": ["residual", "mlp_input"]}
    job = job_of(llama, tmp_path_factory.mktemp("sides") / "job.toml", statistics=statistics)
    return both_sides(job, program)


def both_sides(job: Path, program: Path) -> Any:
    request = command.Request(job, program=program)
    parsed = command.read_job(program, job)
    facts = command.model_facts(program, parsed["model"]["path"])
    return command._both_sides(request, program, parsed, Path(facts["path"]), facts)


def beyond(sides: Any, name: str, values: np.ndarray) -> set[str]:
    """What is beyond its bound where our side has other values of one dataset, and nothing before."""
    our, their = sides
    lines = command._lines(our.statistics, their, command.BOUND)
    assert all(line.is_within for line in lines)
    changed = {**our.statistics.datasets, name: values}
    lines = command._lines(command.Statistics(changed, our.statistics.formats), their, command.BOUND)
    return {line.name for line in lines if not line.is_within}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_found(name: str, sides: Any) -> None:
    values = planted(sides[0].statistics.datasets[name], name)
    expected = "scores/position" if name == "scores/query_position" else name
    assert beyond(sides, name, values) == {expected}


def test_an_error_of_one_set_of_one_head_is_found(sides: Any) -> None:
    """However much more attention another set has."""
    for name in ("mass_sum", "logit_sum", "set_value_norm_sum"):
        found = sides[0].statistics.datasets[f"attention/{name}"]
        for number in range(len(SETS)):
            assert np.abs(found[-1, :, number]).max() > 0
            values = found.copy()
            values[-1, 0, number] += 0.01 * np.abs(found[-1, :, number]).max()
            assert beyond(sides, f"attention/{name}", values) == {f"attention/{name}"}


def test_learned_sinks_agree_and_an_error_in_them_is_found(program: Path, tmp_path: Path) -> None:
    """Of one head; and attention that leaves the sinks out, whose rows sum to 1."""
    statistics = {"attention": ["learned", "position:0"]}
    job = job_of(folder_of("gpt_oss", tmp_path), tmp_path / "job.toml", statistics=statistics)
    sides = both_sides(job, program)
    mass = sides[0].statistics.datasets["attention/mass_sum"]
    values = mass.copy()
    assert values[-1, :, 0].min() > 0
    values[-1, 0, 0] *= 1.01
    assert beyond(sides, "attention/mass_sum", values) == {"attention/mass_sum"}
    queries = sides[0].statistics.datasets["attention/query_count"][:, 0]
    without = mass / (1 - mass[:, :, :1] / np.maximum(queries, 1)[:, None, None])
    without[:, :, 0] = mass[:, :, 0]
    assert beyond(sides, "attention/mass_sum", without) == {"attention/mass_sum"}


def test_attention_to_the_events_of_an_earlier_sweep_agrees(
    verify: Verify, llama: Path, program: Path, tmp_path: Path
) -> None:
    """Windows, and with them the events, are numbered as in the corpus; an event moved by a position is
    found."""
    whole = {"corpus": {"shard": "0/1"}, "parallel": {"tensor": 1}}
    few = {"criterion_magnitude": 0.1, "criterion_ratio": 8.0, "sites": ["residual"]}
    earlier = tmp_path / "earlier.h5"
    job_path = job_of(llama, earlier.with_suffix(".toml"), **whole, statistics=few)
    Sweep(program, tomllib.loads(job_path.read_text())).run()
    statistics = {"attention": ["from"], "attention_from": str(earlier)}
    job = job_of(llama, tmp_path / "job.toml", statistics=statistics)
    done = verify(job, "--windows", 4)
    assert (done.code, done.err) == (0, "")
    assert statistic_rows(done).keys() == set(TO_SETS)
    our, their = both_sides(job, program)
    assert our.statistics.datasets["attention/key_count"][1:].min() > 2
    with h5py.File(earlier, "r+") as file:
        file["massive/position"][0] += 1
    _, other = both_sides(job, program)
    lines = command._lines(our.statistics, other, command.BOUND)
    assert "attention/mass_sum" in {line.name for line in lines if not line.is_within}


def test_planted_errors_of_experts_rows_are_found(program: Path, tmp_path: Path) -> None:
    """Another expert, two experts in the other's place, another weight: each of one token."""
    statistics = {"expert_rows": True}
    job = job_of(folder_of("mixtral", tmp_path), tmp_path / "job.toml", statistics=statistics)
    sides = both_sides(job, program)
    gates, chosen = (
        sides[0].statistics.datasets[f"experts/token_{name}"].copy() for name in ("gates", "experts")
    )
    gates[-1, 3, 0] += 0.01
    assert beyond(sides, "experts/token_gates", gates) == {"experts/token_gates"}
    gates[-1, 3] = gates[-1, 3, ::-1] - 0.01
    assert "experts/token_experts" in beyond(sides, "experts/token_gates", gates)
    chosen[-1, 3, 1] = next(one for one in range(4) if one not in chosen[-1, 3])
    assert beyond(sides, "experts/token_experts", chosen) == {"experts/token_experts", "experts/token_gates"}


def test_stored_rows_agree_and_planted_errors_in_them_are_found(
    verify: Verify, program: Path, llama: Path, tmp_path: Path
) -> None:
    """Without any statistic; kept in bfloat16 by the job, and compared in float32."""
    store = {"sites": ["residual", "mlp_hidden", "key"], "tokens": "random:0.5", "dtype": "bfloat16"}
    job = job_of(llama, tmp_path / "job.toml", store=store, statistics={"sites": ["residual"]})
    done = verify(job)
    assert (done.code, done.err) == (0, "")
    rows = statistic_rows(done)
    assert rows.keys() == {"store/residual", "store/mlp_hidden"}
    sides = both_sides(job, program)
    for name in rows:
        values = sides[0].statistics.datasets[name].copy()
        assert values.shape[0] > 5 and values.dtype == np.float32
        values[3, -1, 2] += 0.01 * np.abs(values[:, -1, 2]).max()
        assert beyond(sides, name, values) == {name}


def test_a_statistic_that_differs_alone_ends_with_1(
    verify: Verify, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    compatibility: Compatibility,
) -> None:  # fmt: skip
    measure = command.measure_windows

    def off(*arguments: Any) -> Any:
        measured, found = measure(*arguments)
        name = "geometry/participation"
        changed = {**found.datasets, name: planted(found.datasets[name], name)}
        return measured, command.Statistics(changed, found.formats)

    monkeypatch.setattr(command, "measure_windows", off)
    done = verify(job_of(llama, tmp_path / "job.toml", statistics={"geometry": True}))
    assert done.code == 1
    assert done.verdict == "DIFFER in statistics alone: geometry/participation"
    assert statistic_rows(done)["geometry/participation"][-1] == "BEYOND"
    assert json.loads((tmp_path / "job.verify.json").read_text())["agrees"] is False
    compatibility("Checkpoints", "statistics other than transformers': `verify`", "warned", done.verdict)


@pytest.mark.parametrize("name", FORMATS)
def test_formats_lose_what_those_of_ml_dtypes_lose(name: str) -> None:
    """Rows of many sizes, ties, zeros, a row of nothing, and what is too small for a scale."""
    random = np.random.default_rng(7)
    rows = random.standard_normal((40, 70)) * np.exp(random.uniform(-8, 8, (40, 1)))
    rows = np.concatenate([rows, np.round(rows * 4) / 4, rows * 1e-38, np.zeros((1, 70))])
    rows = rows.astype(np.float32)
    assert square_error(rows, name) == pytest.approx(float(square_errors(rows, name).sum()), rel=1e-12)
    for row in rows:
        expected = float(square_errors(row[None], name).sum())
        assert square_error(row[None], name) == pytest.approx(expected, rel=1e-12, abs=0)


def test_the_evidence_says_what_was_compared(verify: Verify, llama: Path, tmp_path: Path) -> None:
    done = verify(job_of(llama, tmp_path / "job.toml", statistics={"geometry": True}))
    assert (tmp_path / "job.verify.txt").read_text() == done.out
    kept = json.loads((tmp_path / "job.verify.json").read_text())
    assert (kept["schema"], kept["agrees"], kept["bound"]) == ("actsweep-verify", True, 1e-3)
    assert kept["versions"]["transformers"] == transformers.__version__
    assert kept["versions"]["torch"] == torch.__version__
    assert kept["versions"]["actsweep_software_version"]
    assert [row["layer"] for row in kept["layers"]] == [int(row[0]) for row in done.layers]
    for row, shown in zip(kept["layers"], done.layers, strict=True):
        assert row["is_within"] and float(f"{row['difference']:.2g}") == float(shown[1])
    assert {row["name"] for row in kept["statistics"]} == statistic_rows(done).keys()
    windows = [window.ids for window in text_corpus(LLAMA).windows(CUT)[:2]]
    joined = b"".join(np.asarray(ids, "<u4").tobytes() for ids in windows)
    assert kept["fingerprints"]["windows"] == hashlib.sha256(joined).hexdigest()
    with h5py.File(llama / "corpus.h5") as file:
        assert kept["fingerprints"]["corpus_fingerprint"] == file.attrs["corpus_fingerprint"]
    assert len(kept["fingerprints"]["model_fingerprint"]) == 64


def test_the_evidence_of_a_difference_is_kept_too(verify: Verify, llama: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.2.input_layernorm.weight"] *= 0.9

    reference = with_tensors(llama, tmp_path / "other", change)
    done = verify(job_of(llama, tmp_path / "job.toml"), "--reference", reference)
    kept = json.loads((tmp_path / "job.verify.json").read_text())
    assert done.code == 1 and kept["agrees"] is False and kept["reference"] == str(reference)
    assert [row["is_within"] for row in kept["layers"]] == [True, True, True, False]


def test_evidence_that_cannot_be_written_is_said(
    verify: Verify, llama: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = job_of(llama, tmp_path / "job.toml")
    (tmp_path / "job.verify.json").mkdir()
    done = verify(job)
    assert done.code == 6 and "job.verify.json: is a folder; expected the name of a file" in done.line
    compatibility("Outputs", "a folder where evidence is to stand: `verify`", "refused", done.line)
