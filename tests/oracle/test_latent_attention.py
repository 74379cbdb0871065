"""Inside latent attention: latents before their norms, queries and keys of one width, values and heads of
another, and all that is measured of attention, equal what transformers computes at m = 1, 2, 3, 4.

Tensors of transformers come from hooks (support/latent_oracle), statistics of them from numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from support.attention_reference import KeySet, attention_references, class_first, visible
from support.bounds import Reference, assert_near
from support.inner_models import InnerModel, Sweeps, make_and_sweep
from support.inner_references import (
    assert_site,
    head_square_references,
    rows_of_site,
    square_reference,
)
from support.latent_oracle import LatentOracle
from support.measured_errors import record
from support.token_files import Cut

RANKS = (1, 2, 3, 4)
NAMES = (
    "deepseek_v2-5-lite-2of6-first-dense",  # values narrower than keys
    "deepseek_v3-3-2of6-values-wider-tied-stacked",  # and a rank without heads at m = 4
    "glm4_moe_lite-5-2of6-yarn",  # as wide
)
CUT = Cut(80, "per_document")
LENGTHS = (80, 33, 70, 5, 80, 2, 64)
SETS = ("position:0", "class:delimiter:first", "class:other:first")
SITES = (
    "attention_input", "q_latent", "kv_latent", "query", "key", "value", "attention_heads",
    "attention_output",
)  # fmt: skip
PROMPT = 37  # tokens of the captured prompt


class Made(InnerModel):
    @property
    def sites(self) -> list[str]:
        has_latent = self.model.config["q_lora_rank"] is not None
        return [site for site in SITES if has_latent or site != "q_latent"]

    def job(self, m: int, output: Path) -> dict[str, dict[str, Any]]:
        return {
            "model": {"path": str(self.directory), "dtype": "float32"},
            "corpus": {"path": str(self.directory / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 240},
            "statistics": {"sites": self.sites, "attention": list(SETS), "value_updates": True,
                           "query_key": True},
            "capture": {"prompts": ["prompt"], "attention": True, "sites": self.sites},
            "output": {"path": str(output)},
        }  # fmt: skip


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Sweeps[Made]:
    folder = tmp_path_factory.mktemp("latent")
    return make_and_sweep(
        Made, NAMES, RANKS, folder, CUT, LENGTHS, prompt=PROMPT, oracle=LatentOracle
    )


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_sites(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    for site in made.sites:
        part = assert_site(datasets, site, made.inners, made.classes)
        record(f"{name}-m{m}", inside=site, of_allowed=part)
        exact, single = (rows_of_site(of, site)[1:] for of in (made.prompt.exact, made.prompt.single))
        found = datasets[f"capture/prompt/{site}"]
        assert np.isnan(found[0]).all()
        assert_near(site, found[1:], Reference(exact, np.abs(single - exact), np.abs(exact)))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_attention_and_value_updates(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    sets: list[KeySet] = [
        lambda _window, _layer: [0],
        *(class_first(made.windows, name) for name in ("delimiter", "other")),
    ]
    expected = attention_references(made.inners, sets, [None] * made.inners.num_layers)
    written = {path for path in datasets if path.startswith(("attention/", "value_update/"))}
    assert expected.keys() == written
    parts = [assert_near(path, datasets[path], values) for path, values in expected.items()]
    record(f"{name}-m{m}", inside="attention", of_allowed=max(parts))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_query_key_moments(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    parts = []
    for site in ("query", "key"):
        path = f"qk/rotated_{site}_square_sum"
        references = head_square_references(made.inners, site)
        parts.append(assert_near(path, datasets[path], references))
    for site in ("query", "key", "value"):
        path = f"qk/{site}_square_sum"
        rows = (
            np.nan_to_num(rows_of_site(of, site)) for of in (made.inners.exact, made.inners.single)
        )
        found = datasets[path]
        squares = square_reference(*rows, axis=1)
        parts.append(assert_near(path, found.reshape(len(found), -1), squares))
    record(f"{name}-m{m}", inside="query_key", of_allowed=max(parts))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_captured_attention(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    logits, found = (datasets[f"capture/prompt/{x}"] for x in ("attention_logit", "attention"))
    (exact,), (single,) = made.prompt.exact, made.prompt.single
    for layer, pair in enumerate(zip(exact.attention, single.attention, strict=True)):
        seen = visible(pair[0], None)
        theirs, rounded = (each.probability[None] for each in pair)
        error = np.abs(rounded - theirs)
        assert_near("probability", found[None, layer + 1], Reference(theirs, error, theirs))
        theirs, rounded = (np.where(seen, each.logit, np.nan)[None] for each in pair)
        error = np.abs(rounded - theirs)
        assert_near("logit", logits[None, layer + 1], Reference(theirs, error, np.abs(theirs)))


# Axes of their own where values have another width than queries and keys.
OWN_AXES = {
    "attention_heads/channel_sum": "head_output_channel",
    "value/channel_sum": "value_channel",
    "value_update/head_sum": "head_value_channel",
    "qk/value_square_sum": "head_value_channel",
    "capture/prompt/value": "value_channel",
}
AXES_OF_KEYS = {
    "query/channel_sum": "query_channel",
    "key/channel_sum": "key_channel",
    "qk/key_square_sum": "head_channel",
    "q_latent/channel_sum": "q_latent_channel",
    "kv_latent/channel_sum": "kv_latent_channel",
}


@pytest.mark.parametrize("name", NAMES)
def test_axes_have_the_widths_of_the_model(name: str, sweeps: Sweeps[Made]) -> None:
    config = sweeps.made[name].model.config
    heads, value = config["num_attention_heads"], config["v_head_dim"]
    key = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
    lengths = {
        "query_channel": heads * key, "key_channel": heads * key, "head_channel": key,
        "head_output_channel": heads * value, "value_channel": heads * value,
        "head_value_channel": value, "q_latent_channel": config["q_lora_rank"],
        "kv_latent_channel": config["kv_lora_rank"],
    }  # fmt: skip
    with h5py.File(sweeps.folder / f"{name}-m1.h5") as file:
        for path, axis in (AXES_OF_KEYS | (OWN_AXES if key != value else {})).items():
            if path in file:
                dimension = file[path].dims[file[path].ndim - 1]
                assert dimension[0].name == f"/{axis}"
                assert file[path].shape[-1] == lengths[axis]
        assert ("head_value_channel" in file) == (key != value)
