"""GPT-2 with k' and v' in each head, and with a sink token, agrees with transformers at any m."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from support.bounds import (
    assert_losses_round_as_transformers,
    assert_no_worse,
    assert_rounds_as_transformers,
    channel_scale,
    token_errors,
)
from support.double_precision import in_precision_of, kept
from support.gpt2_variants import VARIANTS, VariantModel, make_variant
from support.random_models import MASSIVE_IDS, MODELS, RandomModel
from support.slow_cases import slow_unless
from support.sweeps import Sweep, read_datasets
from support.token_files import Cut, random_corpus, write_token_file
from support.transformers_oracle import join, losses_of

CONFIGURATIONS = [model for model in MODELS if model.family == "gpt2"]
CUT = Cut(40, "per_document")
CASES = [
    slow_unless(one == other, (name, model), id=f"{name}-{model.name}")
    for one, name in enumerate(VARIANTS)
    for other, model in enumerate(CONFIGURATIONS)
]
ARRANGEMENTS = [
    pytest.param((m, mode), id=f"m{m}-{mode}")
    for m, mode in (*((m, "resident") for m in (1, 2, 3, 4)), (2, "streamed"))
]


@dataclass(frozen=True)
class Variant:
    """A model of one variant, and a token file."""

    made: VariantModel
    corpus: Path
    prompts: dict[str, np.ndarray]
    windows: list[np.ndarray]

    @property
    def name(self) -> str:
        return self.made.name

    @property
    def model(self) -> RandomModel:
        return self.made.model

    @property
    def directory(self) -> Path:
        return self.made.directory

    def forward(
        self, ids: np.ndarray, dtype: torch.dtype = torch.float32
    ) -> tuple[np.ndarray, np.ndarray]:
        """[layers + 1, T (+ 1), C] with the sink's row, and [T - 1, V] log-likelihoods."""
        module = self.made.load(dtype)
        states: list[torch.Tensor] = []
        for block in (*module.transformer.h, module.transformer.ln_f):
            block.register_forward_pre_hook(lambda _, inputs: states.append(kept(inputs[0][0])))
        inputs = self.made.inputs(module, ids)
        with torch.no_grad(), in_precision_of(dtype):
            logits = module(**inputs).logits[0, self.made.sinks : -1]
            likelihoods = torch.log_softmax(logits.double(), dim=-1)
        return torch.stack(states).numpy(), likelihoods.numpy()


@pytest.fixture(scope="module", params=CASES)
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Variant:
    name, model = request.param
    folder = tmp_path_factory.mktemp(name)
    made = make_variant(name, model, folder / "model")
    text = random_corpus(model.vocabulary, (57, 2, 47, 83, 39), seed=1, often=MASSIVE_IDS)
    prompts = {"long": text.documents[3], "short": text.documents[0][:5]}
    corpus = write_token_file(folder / "corpus.h5", text, prompts)
    cut = Cut(CUT.sequence_length - made.sinks, "per_document")
    windows = [window.ids for window in text.windows(cut)]
    return Variant(made, corpus, prompts, windows)


def sweep(program: Path, variant: Variant, output: Path, m: int, mode: str, dtype: str) -> Path:
    job = {
        "model": {"path": str(variant.directory), "dtype": dtype},
        "corpus": {"path": str(variant.corpus), **CUT.job_keys()},
        "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160, "weights": mode},
        "statistics": {"loss": True},
        "capture": {"prompts": list(variant.prompts)},
        "output": {"path": str(output / "sweep.h5")},
    }
    return Sweep(program, job, m).run()


@pytest.fixture(scope="module", params=ARRANGEMENTS)
def swept(
    request: pytest.FixtureRequest,
    program: Path,
    variant: Variant,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    m, mode = request.param
    return sweep(program, variant, tmp_path_factory.mktemp("sweep"), m, mode, "float32")


def test_streams_agree(variant: Variant, swept: Path) -> None:
    found = read_datasets(swept)
    mine = [found[f"capture/{name}/residual"] for name in variant.prompts]
    exact, theirs = (
        [variant.forward(ids, dtype)[0] for ids in variant.prompts.values()]
        for dtype in (torch.float64, torch.float32)
    )
    assert_rounds_as_transformers(variant.name, mine, theirs, exact)
    plain = GPT2LMHeadModel.from_pretrained(variant.directory, dtype=torch.float32).eval()
    ids = torch.from_numpy(variant.prompts["long"].astype(np.int64))[None]
    with torch.no_grad():
        without = plain(ids, output_hidden_states=True).hidden_states[1][0].numpy()
    assert np.abs(theirs[0][1][-len(without) :] - without).max() > 0.1, "the addition has no effect"


def test_losses_agree_and_leave_the_sink_out(variant: Variant, swept: Path) -> None:
    found = read_datasets(swept)["loss/token_nll"]
    head = [np.nan] if variant.name == "sink_token" else []
    losses = join(
        losses_of(
            ids, *(variant.forward(ids, dtype)[1] for dtype in (torch.float64, torch.float32))
        )
        for ids in variant.windows
    )
    rows = np.concatenate([np.concatenate([head, nll, [np.nan]]) for nll in losses.exact])
    assert_losses_round_as_transformers(found, losses, rows)


def test_tokens_tell_the_sink(variant: Variant, swept: Path) -> None:
    found = read_datasets(swept)
    is_sink = found["tokens/id"] == variant.model.vocabulary
    if variant.name == "sink_token":
        np.testing.assert_array_equal(is_sink, found["tokens/position"] == 0)
        ids = np.concatenate(variant.windows)
        np.testing.assert_array_equal(found["tokens/id"][~is_sink], ids)
        with h5py.File(swept) as file:
            offset, data = file["vocabulary/offset"][()], file["vocabulary/bytes"][()]
        assert bytes(data[offset[variant.model.vocabulary] :]) == b"[SINK]"
    else:
        assert not is_sink.any()


@pytest.mark.parametrize("m", [1, 2])
def test_bfloat16_is_no_worse_than_transformers(
    m: int, program: Path, variant: Variant, tmp_path: Path
) -> None:
    found = read_datasets(sweep(program, variant, tmp_path, m, "resident", "bfloat16"))
    mine = [found[f"capture/{name}/residual"] for name in variant.prompts]
    exact = [variant.forward(ids, torch.float64)[0] for ids in variant.prompts.values()]
    rounded = [variant.forward(ids, torch.bfloat16)[0] for ids in variant.prompts.values()]
    scale = channel_scale(exact)
    assert_no_worse(token_errors(mine, exact, scale), token_errors(rounded, exact, scale))
