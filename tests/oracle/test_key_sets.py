"""The sets of keys that test_inner.py leaves out: those of an earlier sweep, and registers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from support.attention_reference import AttentionReference, in_file_order
from support.image_files import random_images, write_image_file
from support.inner_oracle import InnerOracle
from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import Sweep, environment, read_datasets, to_toml
from support.token_files import Cut, random_corpus, write_token_file
from support.vision_models import MODELS as VISION_MODELS
from support.vision_models import make_random as make_random_vision
from support.vision_models import save as save_vision
from support.watching import run

(TEXT,) = (model for model in MODELS if model.name == "llama-5over1-tied")
(IMAGES,) = (m for m in VISION_MODELS if m.name == "dinov2_with_registers-5heads-4registers")
CUT = Cut(64, "per_document")
CRITERION = {"criterion_magnitude": 1000.0, "criterion_ratio": 10.0}  # passed by MASSIVE_IDS alone
NEAR = 1e-4


@dataclass(frozen=True)
class Text:
    folder: Path
    corpus: Path

    def job(self, output: Path, statistics: dict[str, Any], m: int = 1) -> dict[str, Any]:
        return {
            "model": {"path": str(self.folder / "model")},
            "corpus": {"path": str(self.corpus), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 128},
            "statistics": {**CRITERION, **statistics},
            "output": {"path": str(output)},
        }


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Text:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sets")
    save(make_random(TEXT), TEXT, folder / "model")
    corpus = random_corpus(TEXT.vocabulary, (64, 40, 64, 9), seed=5, often=MASSIVE_IDS)
    return Text(folder, write_token_file(folder / "corpus.h5", corpus, {}))


@pytest.fixture(scope="module")
def earlier(text: Text, program: Path) -> Path:
    return Sweep(program, text.job(text.folder / "earlier.h5", {})).run()


@pytest.mark.parametrize("m", [1, 3])
def test_keys_of_an_earlier_sweep(
    m: int, text: Text, earlier: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics = {"attention": ["from"], "attention_from": str(earlier), "value_updates": True}
    found = read_datasets(
        Sweep(program, text.job(text.folder / f"after-{m}.h5", statistics, m), m).run()
    )
    events = read_datasets(earlier)
    places = set(zip(events["massive/sequence"], events["massive/position"], strict=True))
    assert len({sequence for sequence, _ in places}) > 1 and len(places) > 2

    corpus = random_corpus(TEXT.vocabulary, (64, 40, 64, 9), seed=5, often=MASSIVE_IDS)
    oracle = InnerOracle(text.folder / "model", monkeypatch)
    inners = [oracle.run(window.ids) for window in corpus.windows(CUT)]
    layers = len(inners[0].attention)
    reference = AttentionReference(
        inners,
        [lambda window, _layer: sorted(p for s, p in places if s == window)],
        [None] * layers,
    )
    for path, values in reference.fields().items():
        expected = in_file_order(path, values)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found[path], expected, rtol=0, atol=NEAR * scale, err_msg=path)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"corpus": {"sequence_length": 32}}, "corpus.sequence_length = 32, found 64"),
        ({"statistics": {"attention": ["events"]}}, "attention_from goes with the set"),
    ],
    ids=["other-windows", "without-the-set"],
)
def test_an_earlier_sweep_that_does_not_fit_is_refused(
    change: dict[str, dict[str, Any]], said: str, text: Text, earlier: Path, program: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    job = text.job(
        tmp_path / "sweep.h5", {"attention": ["from"], "attention_from": str(earlier)}
    )
    job = {section: keys | change.get(section, {}) for section, keys in job.items()}
    path = tmp_path / "job.toml"
    path.write_text(to_toml(job))
    command = [str(program), "run", str(path)]
    result = run(command, env=environment())
    assert result.returncode == 2, result.stderr
    assert said in result.stdout + result.stderr
    assert not (tmp_path / "sweep.h5").exists()


@pytest.mark.parametrize("m", [1, 3])
def test_attention_to_registers(m: int, program: Path, tmp_path: Path) -> None:
    """Every query sees every key; whole probabilities are captured too."""
    torch.set_num_threads(1)
    pixels = random_images(3, *IMAGES.image, seed=4)
    directory = save_vision(make_random_vision(IMAGES), IMAGES, tmp_path / "model")
    job = {
        "model": {"path": str(directory)},
        "corpus": {"path": str(write_image_file(tmp_path / "images.h5", pixels))},
        "parallel": {"tensor": m, "threads": 1},
        "statistics": {"attention": ["registers", "position:0"]},
        "capture": {"prompts": ["1"], "attention": True},
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    found = read_datasets(Sweep(program, job, m).run())
    module = AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    with torch.no_grad():
        attentions = module(torch.from_numpy(pixels), output_attentions=True).attentions
    registers = np.arange(1, 1 + IMAGES.registers)
    for layer, attention in enumerate(attentions, start=1):  # [images, H, T, T]
        whole = attention.double().numpy()
        np.testing.assert_allclose(
            found["capture/1/attention"][layer], whole[1], rtol=0, atol=NEAR
        )
        for at, keys in enumerate((registers, [0])):
            outside = np.setdiff1d(np.arange(whole.shape[2]), keys)
            mass = whole[:, :, outside][..., keys].sum(axis=(0, 2, 3))
            np.testing.assert_allclose(found["attention/mass_sum"][layer, :, at], mass, rtol=NEAR)
            assert found["attention/query_count"][layer, at] == len(pixels) * len(outside)
        entropy = -(whole * np.log(whole)).sum(axis=3) / np.log(whole.shape[3])
        np.testing.assert_allclose(
            found["attention/entropy_sum"][layer], entropy.sum(axis=(0, 2)), rtol=NEAR
        )
