"""What "identical" means, and what stays equal over m.

For the same m and threads the file is identical for any number of replicas, any block size and
either weight mode. Over m, the exact model (support/random_models) gives the same selections,
counts and histograms, and sums that differ by rounding alone; a random model gives near values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.bounds import assert_near
from support.family_sweeps import run_jobs
from support.inner_references import assert_rows, row_references, sequence_references
from support.number_formats import FORMATS
from support.random_models import (
    EXACT,
    MASSIVE_IDS,
    MODELS,
    RandomModel,
    make_exact,
    make_random,
    save,
)
from support.slow_cases import slow_unless
from support.sweeps import Keys, Sweep, assert_identical, read_attributes, read_datasets, to_toml
from support.token_files import Cut, random_corpus, write_token_file
from support.transformers_oracle import BothPrecisions

DOCUMENTS = (57, 1, 0, 40, 2, 83, 39, 95, 5, 33, 21, 64, 38, 7, 120, 3, 16, 77)
CUT = Cut(40, "per_document")
RANDOM = MODELS[1]  # 7 heads, biases, sharded
# Of each family of experts the configuration with 4 or 5 of them and, where it can, dense layers.
WITH_EXPERTS = [
    next(model for model in MODELS if model.name.startswith(name))
    for name in ("mixtral-6over2", "qwen2_moe-6over3", "qwen3_moe-6over2", "gpt_oss-6over2")
]
LOW = {"criterion_magnitude": 3.0, "criterion_ratio": 4.0}  # a criterion that many pass

# What looks inside the layers is held to the same law.
ALL_SITES = [
    "residual", "attention_input", "query", "key", "value", "attention_heads", "attention_output",
    "mlp_input", "gate", "up", "mlp_hidden", "mlp_output", "final_norm",
]  # fmt: skip
INNER = {
    "sites": ["residual", "key", "attention_output", "mlp_output", "final_norm"],
    "attention": ["position:0", "events"],
    "attention_received": True,
    "score_extrema": True,
    "value_updates": True,
    "query_key": True,
    "quantisation": True,
    "channel_quantiles": True,
    "geometry": True,
    "event_updates": True,
    "lifecycle": True,
    "lifecycle_channels": [17, 0, 3],
    "formats": list(FORMATS),
}

# A store: of random tokens at sites that lie over the ranks in every way, and of tokens with an event.
RANDOM_STORE = {
    "sites": ["residual", "query", "key", "attention_heads", "mlp_hidden", "final_norm"],
    "tokens": "random:0.4",
    "dtype": "bfloat16",
    "layers": [3, 1],
    "seed": 5,
}
STORE_OF_EVENTS = {"sites": ["residual", "value", "attention_heads", "mlp_output"], "tokens": "events"}

# Replicas, tokens of a block (of one, two, all micro-batches of a segment), weight mode.
# Those that are not slow have each number of replicas, block and mode.
QUICK = {
    (1, 1, 80, "streamed"), (1, 2, 160, "resident"), (1, 2, 320, "streamed"), (1, 3, 80, "resident"),
    (1, 3, 160, "streamed"), (2, 1, 160, "streamed"), (2, 2, 320, "streamed"),
}  # fmt: skip
ARRANGEMENTS = [
    slow_unless(
        (m, replicas, block, weights) in QUICK,
        m, replicas, block, weights, id=f"m{m}-replicas{replicas}-block{block}-{weights}",
    )
    for m in (1, 2)
    for replicas in (1, 2, 3)
    for block in (80, 160, 320)
    for weights in ("resident", "streamed")
    if m == 1 or (replicas, block, weights) in (
        (1, 160, "streamed"), (2, 80, "resident"), (2, 320, "streamed"), (3, 160, "resident"),
    )
]  # fmt: skip

# Datasets whose values are sums of floats, and those that the exact model has equal bits of.
SUMS = ("channel_sum", "channel_sum_square", "channel_sum_fourth", "class_sum", "class_sum_square")
INNER_SUMS = ("attention/", "value_update/", "qk/")
# Scores are float32 products, whose rounding depends on how many heads a rank has.
OF_SCORES = ("attention/mass_sum", "attention/logit_sum", "attention/sink_sum")


class Inputs:
    """A checkpoint and a token file, and sweeps over them."""

    def __init__(self, program: Path, folder: Path, model: RandomModel) -> None:
        module = make_exact() if model is EXACT else make_random(model)
        corpus = random_corpus(model.vocabulary, DOCUMENTS, seed=5, often=MASSIVE_IDS)
        self.windows = corpus.windows(CUT)
        prompts = {"first": corpus.documents[0], "short": corpus.documents[4]}
        self.program = program
        self.folder = folder
        self.is_exact = model is EXACT
        self.statistics = {"loss": True, **LOW}
        self.store = RANDOM_STORE if model is RANDOM else STORE_OF_EVENTS
        if self.is_exact:
            self.statistics |= INNER | {"sites": ALL_SITES}
        else:
            routed = model in WITH_EXPERTS
            of_experts = dict.fromkeys(("experts", "expert_inputs", "expert_rows"), routed)
            self.statistics |= INNER | of_experts
        self.model = save(module, model, folder / "model")
        self.corpus = write_token_file(folder / "corpus.h5", corpus, prompts)

    def sweep(self, m: int, replicas: int = 1, **keys: Any) -> Path:
        """Sweeps several segments of two micro-batches and more; the path of the file."""
        name = "-".join(map(str, (m, replicas, *keys.values())))
        return Sweep(self.program, self.job(name, m, **keys), m * replicas).run()

    def job(self, name: str, m: int, **keys: Any) -> Keys:
        """`keys`: of [parallel]."""
        return {
            "model": {"path": str(self.model)},
            "corpus": {"path": str(self.corpus), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 80, **keys},
            "statistics": self.statistics,
            "store": self.store,
            "capture": {"prompts": ["first", "short"], "attention": not self.is_exact},
            "output": {"path": str(self.folder / f"{name}.h5"), "segment_tokens": 320},
        }

    def write_job(self, name: str, m: int, **keys: Any) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(to_toml(self.job(name, m, **keys)))
        return path


@pytest.fixture(scope="module")
def random_inputs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(program, tmp_path_factory.mktemp("random"), RANDOM)


@pytest.fixture(scope="module")
def exact_inputs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(program, tmp_path_factory.mktemp("exact"), EXACT)


@pytest.fixture(scope="module")
def exact_base(exact_inputs: Inputs) -> dict[str, np.ndarray]:
    """The datasets of the exact model's sweep at m = 1."""
    return read_datasets(exact_inputs.sweep(1))


@pytest.fixture(scope="module")
def base_of(random_inputs: Inputs) -> dict[int, Path]:
    """By m: the file of one replica, with the weight mode and the block left to the program."""
    return {m: random_inputs.sweep(m) for m in (1, 2)}


@pytest.mark.parametrize(("m", "replicas", "block", "weights"), ARRANGEMENTS)
def test_file_is_identical(
    m: int, replicas: int, block: int, weights: str, random_inputs: Inputs, base_of: dict[int, Path]
) -> None:
    path = random_inputs.sweep(m, replicas, block_tokens=block, weights=weights)
    log = path.with_suffix(".log").read_text()
    for arrangement in (f"{replicas} replicas x {m} ", f"blocks of {block},", f"rank, {weights}"):
        assert arrangement in log, log
    assert_identical(path, base_of[m])


def test_inputs_in_another_place_give_an_identical_file(
    program: Path, tmp_path: Path, base_of: dict[int, Path]
) -> None:
    assert_identical(Inputs(program, tmp_path, RANDOM).sweep(1), base_of[1])


@pytest.fixture(scope="module")
def expert_inputs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Inputs]:
    return [Inputs(program, tmp_path_factory.mktemp(m.family), m) for m in WITH_EXPERTS]


@pytest.mark.parametrize(
    "m", [slow_unless(m == 3, m) for m in (1, 2, 3, 4, 6)]
)
def test_streamed_experts_give_an_identical_file(
    m: int, expert_inputs: list[Inputs], tmp_path: Path
) -> None:
    """One stage for each expert or few of them, one to four micro-batches that pass it."""
    jobs: list[Path] = []
    pairs: list[tuple[Path, Path]] = []
    for inputs in expert_inputs:
        base = inputs.write_job(f"resident-{m}", m, weights="resident", block_tokens=80)
        jobs.append(base)
        for block in (80, 160, 320):
            streamed = inputs.write_job(
                f"streamed-{m}-{block}", m, weights="streamed", block_tokens=block
            )
            jobs.append(streamed)
            pairs.append((streamed.with_suffix(".h5"), base.with_suffix(".h5")))
    assert run_jobs(jobs, m, tmp_path / "sweeps.log") == dict.fromkeys(jobs, "")
    for found, expected in pairs:
        assert_identical(found, expected)


def test_base_has_segments_windows_and_events(base_of: dict[int, Path]) -> None:
    """What must be identical is not trivial."""
    for path in base_of.values():
        datasets = read_datasets(path)
        assert len(datasets["sequences/length"]) > 3 * 320 // 40
        assert len(set(datasets["sequences/length"])) > 5
        assert len(datasets["massive/value"]) > 100 and len(datasets["massive_corpus/layer"]) > 0
        assert 100 < len(datasets["store/token"]) < len(datasets["tokens/id"])


@pytest.mark.parametrize("m", [slow_unless(m == 3, m) for m in (2, 3, 4)])
def test_exact_model_gives_equal_statistics_at_any_m(
    m: int, exact_inputs: Inputs, exact_base: dict[str, np.ndarray]
) -> None:
    expected, found = exact_base, read_datasets(exact_inputs.sweep(m))
    losses = BothPrecisions(exact_inputs.model).losses([w.ids for w in exact_inputs.windows])
    assert found.keys() == expected.keys()
    for path, values in expected.items():
        name = path.rpartition("/")[2]
        if name in SUMS:
            bound = 1e-12 * cauchy_schwarz(expected, path.partition("/")[0], name)
            assert (np.abs(found[path] - values) <= bound).all(), path
        elif name == "kurtosis_sum":
            terms = np.abs(values) + 3 * expected[path.replace("sum", "count")]
            assert (np.abs(found[path] - values) <= 1e-12 * terms).all(), path
        elif name in ("format_error_square", "format_square"):
            np.testing.assert_allclose(found[path], values, rtol=1e-12, err_msg=path)
        elif path in OF_SCORES:
            np.testing.assert_allclose(found[path], values, rtol=1e-6, err_msg=path)
        elif path.startswith(INNER_SUMS) and path.endswith("sum"):
            bound = 1e-12 * np.abs(values).max()
            np.testing.assert_allclose(found[path], values, rtol=0, atol=bound, err_msg=path)
        elif path.startswith("loss/"):  # logits are products over all channels; both may be off
            terms = {"nll_sum": "target_count", "window_mean_sum": "window_count"}
            many = expected[f"loss/{terms[name]}"] if name in terms else 1
            np.testing.assert_array_equal(np.isnan(found[path]), np.isnan(values), err_msg=path)
            assert np.nanmax(np.abs(found[path] - values)) <= 2 * many * losses.allowed, path
        else:
            assert found[path].tobytes() == values.tobytes(), path


def cauchy_schwarz(datasets: dict[str, np.ndarray], site: str, name: str) -> np.ndarray:
    """A bound of the sum of the terms' magnitudes; sums of squares are their own."""
    if not name.endswith("sum"):
        return datasets[f"{site}/{name}"]
    is_by_class = name == "class_sum"
    count = datasets[f"{site}/class_count" if is_by_class else f"{site}/count"][..., None]
    return np.sqrt(count * datasets[f"{site}/{name}_square"])


@pytest.mark.parametrize("m", [slow_unless(m == 2, m) for m in (2, 3, 4)])
def test_random_model_gives_near_statistics_at_any_m(
    m: int, random_inputs: Inputs, base_of: dict[int, Path]
) -> None:
    """Labels and counts are equal; values are transformers' but for the rounding of the forward pass."""
    expected = read_datasets(base_of[1])
    path = base_of[m] if m in base_of else random_inputs.sweep(m)
    assert read_attributes(path)["/"]["model_group_size"] == m
    found = read_datasets(path)
    for path in ("tokens/id", "tokens/document", "tokens/class", "residual/count",
                 "residual/class_count", "residual/nonfinite_tokens", "sequences/length"):
        np.testing.assert_array_equal(found[path], expected[path], err_msg=path)
    streams = BothPrecisions(random_inputs.model).streams([w.ids for w in random_inputs.windows])
    classes = [window.classes for window in random_inputs.windows]
    exact, single = (np.concatenate(of, axis=1) for of in (streams.exact, streams.single))
    for datasets in (expected, found):
        assert_rows(datasets, "residual", row_references(exact, single, classes))
        for name, reference in sequence_references(streams.exact, streams.single).items():
            assert_near(name, np.abs(datasets[f"residual/{name}"]), reference)
