"""lm-evaluation-harness, offline: tasks of our own records, its own model class, its own log of samples."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True)
class Task:
    """Records and how the harness reads them: keys of its task files."""

    name: str
    records: Sequence[dict[str, Any]]
    keys: dict[str, Any]

    def config(self, folder: Path) -> dict[str, Any]:
        path = folder / f"{self.name}-records.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in self.records))
        return {
            "task": self.name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(path)}, "cache_dir": str(folder / "cache")},
            "test_split": "test",
            **self.keys,
        }


class Harness:
    """Its class for models of transformers, one request at a time: no padding."""

    def __init__(self, model: Path, max_length: int, dtype: str) -> None:
        from lm_eval.models.huggingface import HFLM

        self.model = HFLM(
            pretrained=str(model), device="cpu", dtype=dtype, batch_size=1, max_length=max_length
        )

    def run(self, tasks: Sequence[Task], folder: Path) -> dict[str, Any]:
        """Its results by task; the log of samples lies in `folder`, as --log_samples leaves it."""
        import lm_eval
        from lm_eval.loggers import EvaluationTracker

        folder.mkdir(parents=True, exist_ok=True)
        found = lm_eval.simple_evaluate(
            model=self.model,
            tasks=[task.config(folder) for task in tasks],
            log_samples=True,
            bootstrap_iters=0,
        )
        tracker = EvaluationTracker(output_path=str(folder / "log"))
        tracker.general_config_tracker.model_name_sanitized = "model"
        tracker.date_id = "2026-11-29T18-31-38.000000"
        for task in tasks:
            tracker.save_results_samples(task.name, found["samples"][task.name])
        return found["results"]


def logged(folder: Path) -> list[Path]:
    return sorted((folder / "log").rglob("samples_*.jsonl"))


def log_likelihoods(path: Path) -> list[np.ndarray]:
    """Of each sample of a log, [choice]."""
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    # [[value, is_greedy]] of choices, [value] of whole texts.
    return [
        np.array([float(one[0] if isinstance(one, list) else one) for one in sample["filtered_resps"]])
        for sample in samples
    ]
