"""Which channels and which tokens have a lifecycle. The values are compared in test_residual_stream.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import Sweep, environment, read_datasets, run_program, to_toml
from support.token_files import Cut, random_corpus, write_token_file
from support.watching import run

MODEL, OTHER = (
    next(model for model in MODELS if model.name.startswith(name))
    for name in ("llama-5over1-tied", "granite-5over1")
)
CUT = Cut(40, "per_document")
CRITERION = {"criterion_magnitude": 1000.0, "criterion_ratio": 10.0}  # passed by MASSIVE_IDS alone


@dataclass(frozen=True)
class Text:
    folder: Path

    def job(self, name: str, statistics: dict[str, Any], **more: Any) -> dict[str, Any]:
        """`more`: of sections."""
        job = {
            "model": {"path": str(self.folder / "model")},
            "corpus": {"path": str(self.folder / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": 1, "threads": 1, "microbatch_tokens": 80},
            "statistics": {**CRITERION, **statistics},
            "output": {"path": str(self.folder / f"{name}.h5"), "segment_tokens": 160},
        }
        return {section: keys | more.get(section, {}) for section, keys in job.items()}

    def sweep(self, program: Path, *arguments: Any, **more: Any) -> Path:
        job = self.job(*arguments, **more)
        return Sweep(program, job, job["parallel"]["tensor"]).run()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Text:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lifecycles")
    for model, name in ((MODEL, "model"), (OTHER, "other")):
        save(make_random(model), model, folder / name)
    corpus = random_corpus(MODEL.vocabulary, (64, 40, 64, 9, 80, 77, 30), seed=5, often=MASSIVE_IDS)
    for name, documents in (("corpus", corpus.documents[:4]), ("another", corpus.documents[4:])):
        write_token_file(folder / f"{name}.h5", replace(corpus, documents=documents), {})
    return Text(folder)


@pytest.fixture(scope="module")
def earlier(text: Text, program: Path) -> Path:
    """Of the first windows alone."""
    return text.sweep(program, "earlier", {}, corpus={"max_sequences": 2})


def test_channels_are_those_named_and_those_of_earlier_events(
    text: Text, earlier: Path, program: Path
) -> None:
    channels = set(read_datasets(earlier)["massive/channel"].tolist())
    named = min(set(range(64)) - channels)
    statistics = {
        "lifecycle": True, "lifecycle_from": str(earlier), "lifecycle_channels": [named, max(channels)],
    }  # fmt: skip
    found = read_datasets(text.sweep(program, "both", statistics))
    assert found["lifecycle_channel"].tolist() == sorted({named} | channels)
    layers, rows = len(found["residual/count"]), len(np.unique(found["massive/token"]))
    assert found["lifecycle/value"].shape == (layers, rows, len(channels) + 1)
    at = {token: row for row, token in enumerate(found["tokens/row_token"])}
    events = zip(*(found[f"massive/{x}"] for x in ("layer", "token", "channel", "value")), strict=True)
    checked = 0
    for layer, token, channel, value in events:
        place = found["lifecycle_channel"].tolist().index(channel) if channel in channels else None
        if place is not None:
            assert found["lifecycle/value"][layer, at[token], place] == value
            checked += 1
    assert checked > 10


def test_rows_are_the_same_whatever_is_kept_per_token(text: Text, program: Path) -> None:
    statistics = {"lifecycle": True, "lifecycle_channels": [0, 9]}
    files = [
        read_datasets(text.sweep(program, choice, statistics, output={"per_token": choice}))
        for choice in ("all", "massive", "none")
    ]
    paths = ["tokens/row_token", *(path for path in files[0] if path.startswith("lifecycle"))]
    assert len(paths) == 5
    for other in files[1:]:
        for path in paths:
            assert other[path].tobytes() == files[0][path].tobytes(), path


def test_merged_files_have_the_rows_of_both(text: Text, program: Path, tmp_path: Path) -> None:
    statistics = {"lifecycle": True, "lifecycle_channels": [0, 9]}
    corpora = [str(text.folder / f"{name}.h5") for name in ("corpus", "another")]
    parts = [
        text.sweep(program, f"part-{i}", statistics, corpus={"path": path})
        for i, path in enumerate(corpora)
    ]
    run_program(program, "merge", "-o", tmp_path / "merged.h5", *parts)
    merged, (first, second) = read_datasets(tmp_path / "merged.h5"), map(read_datasets, parts)
    for name in ("value", "attention_update", "mlp_update"):
        expected = np.concatenate([x[f"lifecycle/{name}"] for x in (first, second)], axis=1)
        np.testing.assert_array_equal(merged[f"lifecycle/{name}"], expected)
    moved = second["tokens/row_token"] + len(first["tokens/id"])
    np.testing.assert_array_equal(
        merged["tokens/row_token"], np.concatenate([first["tokens/row_token"], moved])
    )


REFUSED = {
    "without-channels": ({"lifecycle": True}, {}, "lifecycle goes with lifecycle_channels or"),
    "channels-alone": ({"lifecycle_channels": [1]}, {}, "lifecycle goes with lifecycle_channels or"),
    "channel-of-no-model": (
        {"lifecycle": True, "lifecycle_channels": [5, 70000]}, {}, "expected channels below",
    ),
    "without-events": (
        {"lifecycle": True, "lifecycle_channels": [1], "sites": ["mlp_input"]}, {},
        'needs the events of the site "residual"',
    ),
    "of-another-model": (
        {"lifecycle": True, "lifecycle_from": "earlier.h5"}, {"model": {"path": "other"}},
        "expected a sweep of this model, with model_fingerprint",
    ),
    "no-sweep": (
        {"lifecycle": True, "lifecycle_from": "corpus.h5"}, {}, "expected a complete sweep file",
    ),
    "no-event": (
        {"lifecycle": True, "lifecycle_from": "quiet.h5"}, {}, "expected events, found none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(
    case: str, text: Text, earlier: Path, program: Path, tmp_path: Path
) -> None:
    statistics, more, said = REFUSED[case]
    if case == "no-event":
        text.sweep(program, "quiet", {"criterion_magnitude": 1e30})
    statistics = {
        key: str(text.folder / value) if key == "lifecycle_from" else value
        for key, value in statistics.items()
    }
    job = text.job("refused", statistics)
    if more:
        job["model"]["path"] = str(text.folder / more["model"]["path"])
    (tmp_path / "job.toml").write_text(to_toml(job))
    result = run([str(program), "run", str(tmp_path / "job.toml")], env=environment())
    assert result.returncode == 2, result.stderr
    assert said in result.stdout + result.stderr
    assert not (text.folder / "refused.h5").exists()
