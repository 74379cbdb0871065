"""What a job may ask of the store, what it may not, and the bytes that `plan` prints."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from memory import PeakMemory, planned_bytes
from planning import planned
from running import GIB, Run, make_corpus, make_job, make_model, run_alone, run_well, write_job
from support.compatibility import Compatibility

JOB_ERROR = 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (['store.sites=["residul"]'], '"residual"'),
        (['store.sites=["residual"]', "store.layers=[1, 3]"],
         "[store] layers: expected layers of llama from 0 to 2, found 3"),
        (['store.sites=["residual"]', "store.layers=[-1]"], "expected an integer of at least 0"),
        (['store.sites=["residual"]', "store.tokens=random:0"], '"random:P" with 0 < P <= 1'),
        (['store.sites=["residual"]', "store.tokens=random:1.5"], 'found a string ("random:1.5")'),
        (['store.sites=["residual"]', "store.tokens=random:half"], 'found a string ("random:half")'),
        (['store.sites=["residual"]', "store.dtype=float16"], '"float32", "bfloat16"'),
        (['store.sites=["key"]', "store.tokens=events", 'statistics.sites=["key"]'],
         '[store] tokens = "events" needs the events of the site "residual"'),
        (["store.tokens=random:0.5"], "[store] layers, tokens, dtype and seed go with sites"),
        (['store.sites=["kv_latent"]'], '[store] sites: "kv_latent": llama has no latent attention'),
    ],
)  # fmt: skip
def test_what_is_refused(
    keys: list[str], words: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    code, text = planned(tmp_path, *keys)
    assert code == JOB_ERROR and words in text, text
    compatibility("Jobs and launches", f"a store: `{', '.join(keys)}`", "refused", text)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        # A token's number, and 3 layers of 64 channels.
        ([], "0.00 GiB at most, of 4096 tokens, 0.8 KiB a token"),
        (["store.tokens=random:0.25", "store.dtype=bfloat16"],
         "0.00 GiB at most, of about 1024 tokens, 0.4 KiB a token"),
        (["store.tokens=events", "store.layers=[2]"], "0.3 KiB a token, of tokens with an event"),
    ],
)  # fmt: skip
def test_plan_prints_the_bytes(keys: list[str], words: str, tmp_path: Path) -> None:
    code, text = planned(tmp_path, 'store.sites=["residual"]', *keys)
    assert code == 0 and f"  store         {words}\n" in text, text


def test_plan_counts_what_waits_for_events(tmp_path: Path) -> None:
    """All rows of a block are kept until it is known which tokens have an event, and a site's again;
    and a chunk of each site and layer until it is whole."""
    tokens, gib = 1 << 16, 1 << 30
    sizes = [f"{key}={tokens}" for key in ("parallel.block_tokens", "output.segment_tokens")]

    def statistics_gib(*keys: str) -> float:
        code, text = planned(tmp_path, *sizes, *keys, tokens=1 << 20)
        assert code == 0, text
        found = re.search(r"^  statistics +([\d.]+) GiB a rank$", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    store = ('store.sites=["residual", "mlp_hidden"]', "store.tokens=events")
    queue = 64 << 20
    chunks = 2 * 3 << 20
    expected = (queue + chunks + tokens * (3 * (64 + 96) * 4 + 8 + (3 + 2) * 96 * 4)) / gib
    assert expected > 0.1
    assert abs(statistics_gib(*store) - statistics_gib() - expected) <= 0.0101  # two roundings


def test_another_seed_gives_other_tokens(model: Path, corpus: Path, tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        output = tmp_path / f"sweep-{seed}.h5"
        store = {"sites": ["residual"], "tokens": "random:0.5", "seed": seed}
        run_well(write_job(tmp_path / "job.toml", make_job(model, corpus, output, store=store)), 2)
        with h5py.File(output) as file:
            found.append(set(file["store/token"][()].tolist()))
            assert len(found[-1]) == len(file["store/residual"]) > 0
    assert found[0] != found[1]


def test_what_is_stored_is_the_intervened_model(model: Path, corpus: Path, tmp_path: Path) -> None:
    """Channel 3 is zero behind layer 1, and nowhere else of its own accord; a variant stays out."""
    zero = {"layer": 1, "channels": [3], "tokens": "all", "action": "zero"}
    found = {}
    for name, tables in {"plain": [{**zero, "variant": "zeroed"}], "zeroed": [zero]}.items():
        output = tmp_path / f"{name}.h5"
        store = {"sites": ["residual"], "layers": [0, 1, 2]}
        job = make_job(model, corpus, output, store=store, intervention=tables)
        run_well(write_job(tmp_path / f"{name}.toml", job), 2)
        with h5py.File(output) as file:
            found[name] = file["store/residual"][()]
    assert (found["plain"][:, :, 3] != 0).all()
    assert (found["zeroed"][:, 1, 3] == 0).all() and (found["zeroed"][:, [0, 2], 3] != 0).all()
    np.testing.assert_array_equal(found["zeroed"][:, 0], found["plain"][:, 0])
    others = np.arange(found["plain"].shape[2]) != 3
    np.testing.assert_array_equal(found["zeroed"][:, 1, others], found["plain"][:, 1, others])
    assert (found["zeroed"][:, 2] != found["plain"][:, 2]).any()


@pytest.mark.slow
@pytest.mark.parametrize("tokens", ["all", "events"])
def test_memory_of_a_large_store_is_what_plan_says(tokens: str, tmp_path: Path) -> None:
    """A store of 0.4 GiB on one rank: neither the sweep nor the consolidation holds it."""
    shape = {"hidden_size": 1024, "intermediate_size": 2048, "num_hidden_layers": 4,
             "num_attention_heads": 8, "num_key_value_heads": 4}  # fmt: skip
    job = make_job(
        make_model(tmp_path / "model", "bfloat16", **shape),
        make_corpus(tmp_path / "corpus.h5", 20_480),
        tmp_path / "sweep.h5",
        corpus={"sequence_length": 64},
        parallel={"tensor": 1, "microbatch_tokens": 2048, "block_tokens": 2048},
        statistics={"loss": False, "criterion_magnitude": 0.01, "criterion_ratio": 1.0, "max_events": 64},
        store={"sites": ["residual"], "tokens": tokens},
        output={"segment_tokens": 10_240},
    )
    path = write_job(tmp_path / "job.toml", job)
    planned = planned_bytes(run_alone("plan", path, "--ranks", 1).stdout)["memory"]
    run = Run(path, 1)
    memory = PeakMemory(run)
    assert run.finish() == 0, run.log()
    with h5py.File(tmp_path / "sweep.h5") as file:
        stored = file["store/residual"]
        assert stored.size * 4 > 0.3 * GIB
    (own,) = memory.own_bytes()
    print(f"{own / GIB:.3f} GiB, planned {planned / GIB:.3f} GiB")
    assert own <= 1.1 * planned < 0.3 * GIB + own
