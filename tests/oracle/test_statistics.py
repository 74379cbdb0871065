"""numpy on the program's own captured streams reproduces each dataset of `actsweep schema`.

The windows of the corpus are captured as prompts too. In the exact model a prompt's stream has the
bits of the window's (support/random_models); in the random one it has them where micro-batches
hold one window, because then the products have the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.measured_windows import Head, Measured, Options
from support.number_formats import FORMATS
from support.random_models import (
    BOUND_ID,
    EXACT,
    INFINITE_ID,
    MASSIVE_IDS,
    MODELS,
    TIED_IDS,
    ZERO_ID,
    make_exact,
    make_random,
    save,
)
from support.statistics_reference import REFERENCES, compare
from support.sweeps import Sweep, read_datasets, schema_types
from support.token_files import Corpus, Cut, random_corpus, write_token_file

RAGGED = (57, 1, 0, 40, 2, 83, 39, 95, 5, 33, 21)  # 14 windows of at most 40 tokens
LOW = {"magnitude": 3.0, "ratio": 4.0}  # a criterion that many activations pass
OFTEN = (*MASSIVE_IDS, ZERO_ID, *TIED_IDS, BOUND_ID)


@dataclass(frozen=True)
class Variant:
    """A sweep to check."""

    name: str
    cut: Cut
    ranks: int = 1
    model: str = "exact"
    options: Options = Options()
    loss: bool = True
    are_chats: bool = False
    job: dict[str, dict[str, Any]] = field(default_factory=dict)

    def keys(self) -> dict[str, dict[str, Any]]:
        """Sections of the job, without paths and prompts."""
        o = self.options
        keys: dict[str, dict[str, Any]] = {
            "model": {},
            "corpus": self.cut.job_keys(),
            "parallel": {"tensor": self.ranks, "threads": 1, "microbatch_tokens": 160},
            "statistics": {
                "top_k": o.top_k,
                "max_events": o.max_events,
                "criterion_magnitude": o.magnitude,
                "criterion_ratio": o.ratio,
                "loss": self.loss,
                "quantisation": True,
                "channel_quantiles": True,
                "formats": list(FORMATS),
                "classes": "role" if self.are_chats else "token",
            },
            "output": {"per_token": o.per_token, "segment_tokens": 200},
        }
        return {name: section | self.job.get(name, {}) for name, section in keys.items()}


DOCUMENTS = Cut(40, "per_document")
VARIANTS = (
    Variant("exact-ragged-14-windows-m3", DOCUMENTS, ranks=3),
    Variant(
        "random-ragged-m1",
        DOCUMENTS,
        model=MODELS[1].name,
        job={"parallel": {"microbatch_tokens": 40}},
    ),
    Variant("random-one-window-m4", Cut(96, max_sequences=1), ranks=4, model=MODELS[4].name),
    Variant("exact-one-window-m4", Cut(64, max_sequences=1), ranks=4),
    Variant("exact-top1-m1", Cut(40), options=Options(top_k=1)),
    Variant(
        "exact-top5-bos-m3",
        Cut(40, "per_document", bos="each_window"),
        ranks=3,
        options=Options(top_k=5),
    ),
    Variant(
        "exact-two-events-m1-threads2",
        DOCUMENTS,
        options=Options(max_events=2, **LOW),
        job={"parallel": {"threads": 2}},
    ),
    Variant("exact-low-criterion-m3", DOCUMENTS, ranks=3, options=Options(max_events=500, **LOW)),
    Variant("exact-massive-m1", DOCUMENTS, options=Options(per_token="massive")),
    Variant(
        "exact-massive-two-events-m3",
        DOCUMENTS,
        ranks=3,
        options=Options(per_token="massive", max_events=2, **LOW),
    ),
    Variant("exact-none-m3", Cut(40), ranks=3, options=Options(per_token="none")),
    *(
        Variant(f"exact-chats-m{ranks}", cut, ranks=ranks, are_chats=True)
        for ranks, cut in zip((1, 2, 3, 4), (Cut(40, bos="each_window"), DOCUMENTS, DOCUMENTS, Cut(40)))
    ),
    Variant("nonfinite-chats-m2", DOCUMENTS, ranks=2, model="nonfinite", loss=False, are_chats=True),
    Variant("nonfinite-m1", DOCUMENTS, model="nonfinite", loss=False),
    Variant(
        "nonfinite-top64-of-48-channels-m3",
        DOCUMENTS,
        ranks=3,
        model="nonfinite",
        options=Options(top_k=64, per_token="massive", **LOW),
        loss=False,
    ),
)


def make_model(variant: Variant, folder: Path) -> tuple[Path, Head, int]:
    """A checkpoint, its head and the size of its vocabulary."""
    if variant.model in ("exact", "nonfinite"):
        model, module = EXACT, make_exact(overflows=variant.model == "nonfinite")
    else:
        (model,) = (model for model in MODELS if model.name == variant.model)
        module = make_random(model)
    assert model.dtype == "float32"
    directory = save(module, model, folder / "model")
    weight = module.get_output_embeddings().weight.detach().to(torch.float64).numpy()
    norm = module.model.norm.weight.detach().to(torch.float64).numpy()
    return directory, Head(norm, module.config.rms_norm_eps, weight), model.vocabulary


def make_corpus(variant: Variant, vocabulary: int) -> Corpus:
    corpus = random_corpus(vocabulary, RAGGED, seed=3, often=OFTEN, are_chats=variant.are_chats)
    infinite_in = (3, 5, 7) if variant.model == "nonfinite" else ()
    for number, ids in enumerate(corpus.documents):
        ids[ids == INFINITE_ID] = 2
        if number in infinite_in:
            ids[len(ids) // 2] = INFINITE_ID
    return corpus


@dataclass(frozen=True)
class Swept:
    """A finished sweep: its file's datasets, and what numpy knows of it."""

    variant: Variant
    datasets: dict[str, np.ndarray]
    measured: Measured
    prompts: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: variant.name)
def swept(
    request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Swept:
    """Sweeps a corpus whose windows are its prompts."""
    variant: Variant = request.param
    folder = tmp_path_factory.mktemp(variant.name)
    directory, head, vocabulary = make_model(variant, folder)
    corpus = make_corpus(variant, vocabulary)
    windows = corpus.windows(variant.cut)
    prompts = {f"window{i}": window.ids for i, window in enumerate(windows)}
    job = variant.keys()
    job["model"]["path"] = str(directory)
    job["corpus"]["path"] = str(write_token_file(folder / "corpus.h5", corpus, prompts))
    job["capture"] = {"prompts": list(prompts)}
    job["output"]["path"] = str(folder / "sweep.h5")
    datasets = read_datasets(Sweep(program, job, variant.ranks).run())
    streams = [datasets[f"capture/{name}/residual"] for name in prompts]
    measured = Measured(corpus, windows, streams, variant.options, head, datasets)
    return Swept(variant, datasets, measured, prompts)


def test_every_dataset_is_reproduced(swept: Swept) -> None:
    paths = {path for path in swept.datasets if not path.startswith("capture/")}
    assert paths <= REFERENCES.keys(), f"without a reference: {paths - REFERENCES.keys()}"
    differing = {}
    with np.errstate(invalid="ignore", over="ignore"):
        for path in sorted(paths):
            difference = compare(swept.datasets[path], REFERENCES[path](swept.measured))
            if difference:
                differing[path] = difference
    assert not differing, "\n".join(f"{path}: {text}" for path, text in differing.items())


def test_file_holds_what_the_schema_lists(swept: Swept, program: Path) -> None:
    """The schema describes a job that keeps everything; others leave out rows or losses."""
    listed = {}
    for path, element_type in schema_types(program).items():
        names = swept.prompts if path.startswith("capture/NAME/") else [""]
        listed |= {path.replace("NAME", name): element_type for name in names}
    assert len(listed) > 40
    without = [path for path in listed if path not in REFERENCES and "capture/" not in path]
    assert not without, f"datasets of the schema without a reference: {without}"
    left_out = set()
    if swept.variant.options.per_token == "none":
        left_out = {path for path in listed if path.startswith("residual/token_")}
        left_out.add("loss/token_nll")
    if swept.variant.are_chats:
        listed["tokens/role"] = "uint8"
        listed["residual/role_count"] = "int64"
        listed |= {f"residual/role_{name}": "float64" for name in ("sum", "sum_square")}
    if not swept.variant.loss:
        left_out |= {path for path in listed if path.startswith("loss/")}
    if swept.variant.options.per_token != "massive":
        left_out.add("tokens/row_token")
    expected = {path: name for path, name in listed.items() if path not in left_out}
    assert {path: str(values.dtype) for path, values in swept.datasets.items()} == expected


def test_prompts_keep_their_ids(swept: Swept) -> None:
    for name, ids in swept.prompts.items():
        np.testing.assert_array_equal(swept.datasets[f"capture/{name}/id"], ids)


def test_variant_shows_what_it_is_for(swept: Swept) -> None:
    """The inputs are not trivial: windows, events, what is left out, non-finite tokens."""
    variant, measured = swept.variant, swept.measured
    if variant.cut == DOCUMENTS:
        assert len(measured.windows) == 14
        assert len({len(window.ids) for window in measured.windows}) > 5
    assert len(measured.events) > 0 and len(measured.findings) > 0
    if variant.are_chats:
        assert set(measured.roles) == set(range(5))
    if variant.options.magnitude == LOW["magnitude"]:
        every = [event for events in measured.events_by_place.values() for event in events]
        assert {event.reading for event in every} == {1, 2, 3}
    if variant.options.max_events == 2:
        assert swept.datasets["massive/events_left_out"].min() > 0
    if variant.options.per_token == "massive":
        assert 0 < len(measured.rows) < measured.x.shape[1]
    left_out = swept.datasets["residual/nonfinite_tokens"]
    if variant.model == "nonfinite":
        assert left_out[0] == 3 and left_out[0] < left_out[1] < left_out[-1] < measured.x.shape[1]
    else:
        assert (left_out == 0).all()
