"""`actsweep show` says what a file has, whichever sites, rows and statistics its job asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from actsweep.results.sites import SITES as ALL_SITES
from running import make_corpus, make_job, run_alone, run_well, write_job

from support.compatibility import Compatibility

NO_LLAMAS = ("q_latent", "kv_latent", "state_output")
SITES = tuple(site for site in ALL_SITES if site not in NO_LLAMAS)
SUBSETS = [
    *([site] for site in SITES),
    ["attention_input", "mlp_input"],
    ["residual", "mlp_hidden"],
    list(SITES),
    list(SITES[1:]),
    [],
]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpora") / "short.h5", 320)


def sweep_and_show(
    model: Path, corpus: Path, folder: Path, **sections: dict[str, Any]
) -> tuple[str, Path]:
    """What is shown of a new file."""
    output = folder / "sweep.h5"
    job = make_job(model, corpus, output, **{"parallel": {"tensor": 1}, **sections})
    run_well(write_job(folder / "job.toml", job), 1)
    result = run_alone("show", output)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout, output


def rows_of_sites(text: str) -> dict[str, list[str]]:
    if "Largest activations by site" not in text:
        return {}
    table = text.split("Largest activations by site\n")[1].split("\n\n")[0]
    lines = table.splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in lines}


@pytest.mark.parametrize("sites", SUBSETS, ids=lambda sites: "-".join(sites)[:40] or "none")
def test_any_sites(
    sites: list[str], model: Path, short: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    text, output = sweep_and_show(model, short, tmp_path, statistics={"sites": sites})
    assert "320 tokens in 20 sequences" in text and "perplexity" in text
    assert ("Massive activations by channel" in text) == ("residual" in sites)
    assert ("No residual stream was measured" in text) == ("residual" not in sites)
    rows = rows_of_sites(text)
    assert sorted(rows) == sorted(sites)
    with h5py.File(output) as file:
        for site, (largest, layer, channel, left_out) in rows.items():
            values = file[f"{site}/channel_max_magnitude"][()]
            place = np.unravel_index(np.nanargmax(values), values.shape)
            assert (int(layer), int(channel)) == place, site
            assert float(largest.replace(",", "")) == pytest.approx(values[place], rel=1e-3)
            assert left_out == "0"
    if sites == ["attention_input", "mlp_input"]:
        compatibility("Outputs", "`actsweep show` of a file without the residual stream", "read")


@pytest.mark.parametrize("per_token", ["all", "massive", "none"])
@pytest.mark.parametrize("sites", [["residual"], ["mlp_hidden"], []], ids="-".join)
@pytest.mark.parametrize("loss", [False, True], ids=["", "loss"])
def test_any_rows(
    per_token: str, sites: list[str], loss: bool, model: Path, short: Path, tmp_path: Path
) -> None:
    text, _ = sweep_and_show(
        model,
        short,
        tmp_path,
        statistics={"sites": sites, "loss": loss},
        output={"per_token": per_token},
        capture={"prompts": []},
    )
    assert "320 tokens in 20 sequences" in text
    assert ("perplexity" in text) == loss
    assert sorted(rows_of_sites(text)) == sites


def test_tokens_of_the_largest_activations(model: Path, short: Path, tmp_path: Path) -> None:
    statistics = {"sites": ["residual", "mlp_hidden"], "quantisation": True}
    text, output = sweep_and_show(model, short, tmp_path, statistics=statistics)
    lines = text.split("Tokens of the largest activations\n")[1].splitlines()[1:]
    rows = {line.split()[0]: line.split(maxsplit=5)[1:] for line in lines}
    assert sorted(rows) == ["mlp_hidden", "residual"]
    with h5py.File(output) as file:
        ids, sequence, document, position = (
            file[f"tokens/{name}"][()] for name in ("id", "sequence", "document", "position")
        )
        for site, (token, *labels, around) in rows.items():
            place = file[f"{site}/channel_max_magnitude"][()].argmax()
            number = file[f"{site}/channel_max_token"][()].flat[place]
            assert int(token) == number
            assert [int(one) for one in labels] == [document[number], position[number], ids[number]]
            near = [t for t in range(number - 6, number + 5) if 0 <= t < len(ids)]
            words = [f" w{ids[t]}" if t != number else f"⟦ w{ids[t]}⟧" for t in near
                     if sequence[t] == sequence[number]]  # fmt: skip
            assert around == f'"{"".join(words)}"'


def test_statistics_of_attention_alone(model: Path, short: Path, tmp_path: Path) -> None:
    statistics = {"sites": [], "loss": False, "attention": ["position:0"], "query_key": True}
    text, _ = sweep_and_show(model, short, tmp_path, statistics=statistics)
    assert "No residual stream was measured" in text and "by site" not in text


def test_variants_without_the_residual_stream(model: Path, short: Path, tmp_path: Path) -> None:
    tables = [
        {"layer": 2, "channels": [3], "tokens": "position:0", "action": "zero", "variant": "zeroed"}
    ]
    statistics = {"sites": ["up"], "loss": True}
    text, _ = sweep_and_show(model, short, tmp_path, statistics=statistics, intervention=tables)
    assert "Perplexity of variants" in text and "zeroed" in text


def test_tokens_left_out_are_counted_by_site(model: Path, short: Path, tmp_path: Path) -> None:
    tables = [
        {"layer": 2, "channels": [3], "tokens": "position:0", "action": "scale", "value": 3e38}
    ]
    statistics = {"sites": ["mlp_output"], "loss": False}
    text, output = sweep_and_show(model, short, tmp_path, statistics=statistics, intervention=tables)
    with h5py.File(output) as file:
        left_out = int(file["mlp_output/nonfinite_tokens"][()].sum())
    assert left_out > 0
    assert rows_of_sites(text)["mlp_output"][-1] == f"{left_out:,}"


def test_every_site_and_the_attention_of_a_prompt_are_captured_together(
    model: Path, short: Path, tmp_path: Path
) -> None:
    """No axis of a prompt is called as one of its sites."""
    capture = {"prompts": ["short"], "attention": True, "sites": list(SITES)}
    _, output = sweep_and_show(model, short, tmp_path, capture=capture)
    with h5py.File(output) as file:
        prompt = file["capture/short"]
        assert set(SITES) <= set(prompt)
        assert [axis[0].name.split("/")[-1] for axis in prompt["attention"].dims] == [
            "layer",
            "head",
            "token",
            "key_token",
        ]
