"""The sets of keys that test_inner.py leaves out: those of an earlier sweep, and registers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.attention_reference import attention_references
from support.bounds import Reference, assert_near
from support.image_files import random_images, write_image_file
from support.inner_oracle import ImageInnerOracle, InnerOracle, run_in_both
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
    m: int, text: Text, earlier: Path, program: Path
) -> None:
    statistics = {"attention": ["from"], "attention_from": str(earlier), "value_updates": True}
    found = read_datasets(
        Sweep(program, text.job(text.folder / f"after-{m}.h5", statistics, m), m).run()
    )
    events = read_datasets(earlier)
    places = set(zip(events["massive/sequence"], events["massive/position"], strict=True))
    assert len({sequence for sequence, _ in places}) > 1 and len(places) > 2

    corpus = random_corpus(TEXT.vocabulary, (64, 40, 64, 9), seed=5, often=MASSIVE_IDS)
    inners = run_in_both(
        lambda patch, dtype: InnerOracle(text.folder / "model", patch, dtype),
        [window.ids for window in corpus.windows(CUT)],
    )
    of_earlier = [lambda window, _layer: sorted(p for s, p in places if s == window)]
    references = attention_references(inners, of_earlier, [None] * inners.num_layers)
    for path, reference in references.items():
        assert_near(path, found[path], reference)


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
def test_mass_on_learned_sinks_is_what_the_keys_lack(
    m: int, program: Path, tmp_path: Path
) -> None:
    """A window that is captured too: its probabilities and the mass on the sinks sum to 1."""
    torch.set_num_threads(1)
    (model,) = (model for model in MODELS if model.name == "gpt_oss-5over1-head16-2of5-window16")
    directory = save(make_random(model), model, tmp_path / "model")
    corpus = random_corpus(model.vocabulary, [64], seed=6)
    write_token_file(tmp_path / "corpus.h5", corpus, {"same": corpus.documents[0]})
    job = {
        "model": {"path": str(directory)},
        "corpus": {"path": str(tmp_path / "corpus.h5"), **CUT.job_keys()},
        "parallel": {"tensor": m, "threads": 1},
        "statistics": {"attention": ["learned"]},
        "capture": {"prompts": ["same"], "attention": True},
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    found = read_datasets(Sweep(program, job, m).run())
    keys = found["capture/same/attention"][1:].sum(axis=(2, 3), dtype=np.float64)
    learned = found["attention/mass_sum"][1:, :, 0]
    assert learned.min() > 0.1
    np.testing.assert_allclose(keys + learned, 64, rtol=1e-5)


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
    inners = run_in_both(
        lambda patch, dtype: ImageInnerOracle(directory, patch, dtype), list(pixels)
    )
    registers = list(range(1, 1 + IMAGES.registers))
    sets = [lambda _image, _layer: registers, lambda _image, _layer: [0]]
    references = attention_references(
        inners, sets, [None] * inners.num_layers, is_causal=False
    )
    for path in ("attention/mass_sum", "attention/query_count", "attention/entropy_sum"):
        assert_near(path, found[path], references[path])
    whole, rounded = (
        np.stack([attention.probability for attention in of[1].attention])
        for of in (inners.exact, inners.single)
    )
    reference = Reference(whole, np.abs(rounded - whole), whole)
    assert_near("capture/1/attention", found["capture/1/attention"][1:], reference)
