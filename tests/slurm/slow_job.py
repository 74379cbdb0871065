"""The sweep of these tests: 10 segments and a captured prompt, seconds on two ranks.

Its inputs, launches and comparisons are those of tests/e2e/running.py.
"""

from pathlib import Path

from running import Job, make_corpus, make_job, make_model

SCRIPTS = Path(__file__).resolve().parents[2] / "slurm"
SEGMENTS = 10
UNITS = SEGMENTS + 1  # and a captured prompt
SEGMENT_TOKENS = 6144


def make_slow_model(directory: Path) -> Path:
    """A random Llama checkpoint of 8 layers and 192 channels."""
    return make_model(directory, hidden_size=192, intermediate_size=512, num_hidden_layers=8)


def make_slow_corpus(path: Path) -> Path:
    return make_corpus(path, SEGMENTS * SEGMENT_TOKENS)


def make_slow_job(model: Path, corpus: Path, output: Path) -> Job:
    job = make_job(model, corpus, output)
    job["corpus"]["sequence_length"] = 64
    job["parallel"].update(microbatch_tokens=512, block_tokens=2048)
    job["output"]["segment_tokens"] = SEGMENT_TOKENS
    return job
