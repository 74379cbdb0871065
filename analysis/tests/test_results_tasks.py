"""Accuracies and their comparison, against hand counts and scipy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from sample_sweep import Sample
from scipy import stats
from study_sample import LABEL_NAMES, LABELS, SCORES, TASKS, Study, write_study

import actsweep
from actsweep.cli import main
from actsweep.results import image_classes, tasks


@pytest.fixture(scope="module")
def path(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("tasks") / "tasks.h5", sample, Study())


@pytest.fixture
def sweep(path: Path) -> Iterator[actsweep.Sweep]:
    with actsweep.open(path) as opened:
        yield opened


def test_accuracy_of_each_variant(sweep: actsweep.Sweep) -> None:
    table = tasks.accuracies(sweep).set_index("variant")
    assert table["task"].tolist() == [TASKS[0]] * 3
    # The original: −8 against −6, by bytes −8 / 5 against −6 / 10; "zero": −3 and −9, −3 / 5 and −9 / 10.
    assert table["accuracy"].to_dict() == {"original": 1, "zero": 0, "mean": 1}
    assert table["accuracy by bytes"].to_dict() == {"original": 1, "zero": 0, "mean": 1}
    assert table.loc["zero", "difference"] == -1
    assert table.loc["mean", ["right before alone", "right after alone"]].tolist() == [0, 0]


def test_perplexity_of_texts(sweep: actsweep.Sweep) -> None:
    table = tasks.perplexities(sweep).set_index("variant")
    for name, scores in zip(("original", "zero", "mean"), SCORES, strict=True):
        assert table.loc[name, "word perplexity"] == pytest.approx(np.exp(-scores[2] / 9))
        assert table.loc[name, "byte perplexity"] == pytest.approx(np.exp(-scores[2] / 40))
        assert table.loc[name, "bits per byte"] == pytest.approx(np.log2(np.exp(-scores[2] / 40)))


def test_a_question_that_is_not_whole_is_left_out(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "part.h5"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["requests/parts"][:2] = 3
    with actsweep.open(copy) as opened:
        assert len(tasks.accuracies(opened)) == 0
        assert len(tasks.perplexities(opened)) == 3


def test_the_first_of_equal_choices_counts() -> None:
    choices = pd.DataFrame(
        {"question": 0, "model": [-2.0, -2.0], "is_answer": [0, 1], "bytes": 4, "characters": 4}
    )
    assert not tasks.right(choices, "model").to_numpy().any()


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (3, 9), (12, 12), (1, 0), (400, 500)])
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int) -> None:
    expected = stats.binomtest(lost, lost + gained, 0.5).pvalue if lost + gained else 1
    assert tasks.mcnemar(lost, gained) == pytest.approx(expected)


def test_interval_is_that_of_resampled_questions() -> None:
    generator = np.random.default_rng(5)
    original, changed = generator.random(400) < 0.7, generator.random(400) < 0.6
    found = tasks.paired(original, changed)
    difference = changed.astype(float) - original
    expected = stats.bootstrap(
        (difference,), np.mean, method="percentile", n_resamples=10_000, random_state=1
    ).confidence_interval
    assert found["difference"] == pytest.approx(difference.mean())
    assert found["95 % from"] == pytest.approx(expected.low, abs=0.006)
    assert found["95 % to"] == pytest.approx(expected.high, abs=0.006)


def test_the_command_prints_both_tables(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", str(path)]) == 0
    said = capsys.readouterr().out
    assert "capitals" in said and "McNemar p" in said and "word perplexity" in said
    assert "top-5 accuracy" in said


def test_accuracy_of_images_counts_what_stands_before_the_label(sweep: actsweep.Sweep) -> None:
    table = image_classes.accuracies(sweep).set_index("variant")
    assert table["top-1 accuracy"].to_dict() == {"original": 2 / 3, "zero": 0, "mean": 2 / 3}
    assert table["top-5 accuracy"].to_dict() == {"original": 1, "zero": 1 / 3, "mean": 1}
    assert table.loc["original", "mean log-likelihood, nats"] == pytest.approx(-1.25)
    assert table.loc["zero", "difference"] == pytest.approx(-2 / 3)
    assert table.loc["mean", ["right before alone", "right after alone"]].tolist() == [1, 1]


def test_label_of_each_image(sweep: actsweep.Sweep) -> None:
    table = image_classes.label_ranks(sweep)
    assert table["class"].tolist() == [LABEL_NAMES[label] for label in LABELS]
    assert table["zero"].tolist() == [2, 5, 6]
