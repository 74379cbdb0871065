"""What a run keeps in memory of its own (RssAnon of /proc/PID/status, sampled while it runs), and plans."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from running import GIB, Run, make_corpus, make_job, make_model, write_job

from support.private_memory import rss_anon_bytes

SAMPLE_S = 0.005


class PeakMemory:
    """Per rank: private memory before the weights are read, and its peak until the run ends."""

    def __init__(self, run: Run) -> None:
        run.wait_for("units of work are pending")
        self._pids = run.pids()
        self.before = [rss_anon_bytes(pid) for pid in self._pids]
        self.peak = list(self.before)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            now = [rss_anon_bytes(pid) for pid in self._pids]
            self.peak = [max(pair) for pair in zip(self.peak, now, strict=True)]

    def own_bytes(self) -> list[int]:
        """After the end of the run: what each rank took at most beyond what it began with."""
        self._is_over.set()
        self._thread.join()
        return [peak - before for peak, before in zip(self.peak, self.before, strict=True)]


def planned_bytes(table: str) -> dict[str, float]:
    """Bytes by purpose in the table that `plan` and `run` print."""
    rows = re.findall(
        r"^\s*(weights|residual|work space|statistics|memory)\s+([\d.]+) GiB a rank", table, re.M
    )
    return {name: float(gib) * GIB for name, gib in rows}


def planned_gib(text: str) -> tuple[float, float]:
    """What a plan takes, and of what."""
    (found,) = re.findall(r"memory +(\S+) GiB a rank of (\S+) GiB", text)
    return float(found[0]), float(found[1])


def write_roomy_job(folder: Path) -> Path:
    """A job of one rank whose block would take more than 600 MiB."""
    model = make_model(
        folder / "model", hidden_size=512, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=8, num_key_value_heads=8,
    )  # fmt: skip
    corpus = make_corpus(folder / "corpus.h5", 400_000)
    job = make_job(
        model,
        corpus,
        folder / "sweep.h5",
        corpus={"sequence_length": 64},
        parallel={"tensor": 1, "microbatch_tokens": 1024},
        output={"segment_tokens": 400_000, "per_token": "none"},
        statistics={"loss": False},
    )
    del job["parallel"]["block_tokens"]
    return write_job(folder / "job.toml", job)
