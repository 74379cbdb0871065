"""GPT-2 with k' and v' in each head, and with a sink token, agrees with transformers at any m.

transformers has neither: its GPT-2 gets an attention with one more key and value, or embeddings that
begin with the sink, less the position that it would be given (arXiv 2402.17762, section 5).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import GPT2LMHeadModel

import support.gpt2_variants  # noqa: F401 (registers "extra_key")
from support.bounds import BOUND, channel_scale, largest_error
from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import Sweep, read_datasets
from support.token_files import Cut, random_corpus, write_token_file

MODEL = next(model for model in MODELS if model.family == "gpt2")
LAYERS = MODEL.config["n_layer"]
CUT = Cut(40, "per_document")
VARIANTS = ("attention_bias_kv", "sink_token")


@dataclass(frozen=True)
class Variant:
    """A checkpoint of one variant, as data/prepare_model.py writes it, and a token file."""

    name: str
    directory: Path
    corpus: Path
    prompts: dict[str, np.ndarray]
    windows: list[np.ndarray]

    @property
    def extra(self) -> dict[str, torch.Tensor]:
        return load_file(self.directory / "model.safetensors")

    def forward(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[layers + 1, T (+ 1), C] with the sink's row, and [T - 1] losses of the tokens."""
        module = GPT2LMHeadModel.from_pretrained(self.directory).eval()
        tokens = torch.from_numpy(ids.astype(np.int64))
        embedding, places = module.transformer.wte(tokens), torch.arange(len(ids))
        sinks = 0
        if self.name == "attention_bias_kv":
            module.set_attn_implementation("extra_key")
            for layer, block in enumerate(module.transformer.h):
                block.attn.k_bias = self.extra[f"transformer.h.{layer}.attn.k_bias"]
                block.attn.v_bias = self.extra[f"transformer.h.{layer}.attn.v_bias"]
        else:
            own = self.extra["transformer.sink_token"] - module.transformer.wpe.weight[0]
            embedding = torch.cat([own[None], embedding])
            places = torch.cat([places[:1], places])
            sinks = 1
        states: list[torch.Tensor] = []
        for block in (*module.transformer.h, module.transformer.ln_f):
            block.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0][0]))
        with torch.no_grad():
            output = module(inputs_embeds=embedding[None], position_ids=places[None])
            logits = output.logits[0, sinks:-1].double()
            nll = functional.cross_entropy(logits, tokens[1:], reduction="none")
        return torch.stack(states).numpy(), nll.numpy()


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Variant:
    folder = tmp_path_factory.mktemp(request.param)
    directory = save(make_random(MODEL), MODEL, folder / "model")
    weights = load_file(directory / "model.safetensors")
    generator = torch.Generator().manual_seed(3)
    heads, channels = MODEL.heads, MODEL.config["n_embd"]
    if request.param == "attention_bias_kv":
        for layer in range(LAYERS):
            for name in ("k_bias", "v_bias"):
                weights[f"transformer.h.{layer}.attn.{name}"] = 2 * torch.randn(
                    (heads, channels // heads), generator=generator
                )
    else:
        weights["transformer.sink_token"] = 20 * torch.randn(channels, generator=generator)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {request.param: True}))
    text = random_corpus(MODEL.vocabulary, (57, 2, 47, 83, 39), seed=1, often=MASSIVE_IDS)
    prompts = {"long": text.documents[3], "short": text.documents[0][:5]}
    corpus = write_token_file(folder / "corpus.h5", text, prompts)
    text_length = CUT.sequence_length - (request.param == "sink_token")
    windows = [window.ids for window in text.windows(Cut(text_length, "per_document"))]
    return Variant(request.param, directory, corpus, prompts, windows)


@pytest.fixture(scope="module", params=(1, 2, 3, 4), ids=lambda m: f"m{m}")
def swept(
    request: pytest.FixtureRequest,
    program: Path,
    variant: Variant,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    job = {
        "model": {"path": str(variant.directory)},
        "corpus": {"path": str(variant.corpus), **CUT.job_keys()},
        "parallel": {"tensor": request.param, "threads": 1, "microbatch_tokens": 160},
        "statistics": {"loss": True},
        "capture": {"prompts": list(variant.prompts)},
        "output": {"path": str(tmp_path_factory.mktemp("sweep") / "sweep.h5")},
    }
    return Sweep(program, job, request.param).run()


def test_streams_agree(variant: Variant, swept: Path) -> None:
    found = read_datasets(swept)
    mine = [found[f"capture/{name}/residual"] for name in variant.prompts]
    theirs = [variant.forward(ids)[0] for ids in variant.prompts.values()]
    errors = largest_error(mine, theirs, channel_scale(theirs))
    assert (errors <= BOUND).all(), errors
    plain = GPT2LMHeadModel.from_pretrained(variant.directory).eval()
    ids = torch.from_numpy(variant.prompts["long"].astype(np.int64))[None]
    with torch.no_grad():
        without = plain(ids, output_hidden_states=True).hidden_states[1][0].numpy()
    assert np.abs(theirs[0][1][-len(without) :] - without).max() > 0.1, "the addition has no effect"


def test_losses_agree_and_leave_the_sink_out(variant: Variant, swept: Path) -> None:
    found = read_datasets(swept)["loss/token_nll"]
    head = [np.nan] if variant.name == "sink_token" else []
    theirs = np.concatenate(
        [np.concatenate([head, variant.forward(ids)[1], [np.nan]]) for ids in variant.windows]
    )
    np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-4)


def test_tokens_tell_the_sink(variant: Variant, swept: Path) -> None:
    found = read_datasets(swept)
    is_sink = found["tokens/id"] == MODEL.vocabulary
    if variant.name == "sink_token":
        np.testing.assert_array_equal(is_sink, found["tokens/position"] == 0)
        ids = np.concatenate(variant.windows)
        np.testing.assert_array_equal(found["tokens/id"][~is_sink], ids)
        with h5py.File(swept) as file:
            offset, data = file["vocabulary/offset"][()], file["vocabulary/bytes"][()]
        assert bytes(data[offset[MODEL.vocabulary] :]) == b"[SINK]"
    else:
        assert not is_sink.any()
