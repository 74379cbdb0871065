"""Tasks against lm-evaluation-harness: its ids, its log-likelihoods of each choice, its accuracies.

The tasks are made of real text: which sentence goes on so, as questions with choices, with choices for
contexts, with several right answers, and whole texts. Of SmolLM2, and of a random model whose tokenizer puts
a BOS before each text; the original, and with a massive activation set to zero.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydoc_data.topics import topics
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from actsweep.sweep import Sweep as ActsweepFile
from actsweep.sweep import open_sweep
from actsweep.results import tasks as results
from support.bounds import TIMES
from support.harness import Harness, Task, log_likelihoods, logged
from support.interventions import Labels, intervened
from support.random_models import MASSIVE_CHANNEL, MODELS, make_random, save
from support.sweeps import Sweep
from support.random_models.weights import blocks_of

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / "models" / "smollm2-135m-instruct"
ENGLISH = " ".join(" ".join(topics[name].split()) for name in ("yield", "with", "while", "booleans", "lambda"))
SENTENCES = [one.strip() for one in re.split(r"(?<=[.:]) ", ENGLISH) if len(one.split()) > 9]
MODEL = replace(MODELS[0], config={**MODELS[0].config, "vocab_size": 320})  # 80 channels, 3 layers, 5 heads
BOUND = 1e-4  # nats; the issue's
MAX_LENGTH = 96  # of the longest context some are cut at their beginning


def questions(count: int) -> list[dict[str, Any]]:
    """Which of three ends does a sentence have? Contexts of one sentence and of five, with a space at
    their end, and without any text."""
    asked = []
    for number, sentence in enumerate(SENTENCES[8 : 8 + count]):
        words = sentence.split()
        before = " ".join(SENTENCES[number : number + 8]) + " " if number % 4 == 3 else ""
        ends = [words[5:10], SENTENCES[number].split()[-4:], SENTENCES[number + 1].split()[2:8]]
        ends = [" ".join(end) for end in ends[number % 3 :] + ends[: number % 3]]
        asked.append(
            {
                "context": "" if number == 4 else before + " ".join(words[:5]) + " " * (number % 5 == 2),
                "ends": ends,
                "right": -number % 3,
                "text": ends[-number % 3],
                "others": [one for one in range(3) if one != number % 3],
                "contexts": [" ".join([*words[:3], end]) for end in ends[:2]],
                "which": number % 2,
                "page": before + sentence,
            }
        )  # fmt: skip
    return asked


CHOICES = {
    "output_type": "multiple_choice",
    "doc_to_text": "context",
    "doc_to_choice": "ends",
    "metric_list": [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes")],
}
TASKS = {
    "numbered": CHOICES | {"doc_to_target": "right"},
    "spelled": CHOICES | {"doc_to_target": "{{text}}"},
    "several": CHOICES | {"doc_to_target": "others"},
    # As WinoGrande: the contexts are the choices, and their number is the text.
    "contexts": {
        "output_type": "multiple_choice",
        "doc_to_text": "which",
        "doc_to_choice": "contexts",
        "doc_to_target": "text",
        "metric_list": [{"metric": "acc"}],
    },
    "pages": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "page",
        "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
    },
}


@dataclass(frozen=True)
class Setting:
    model: Path
    layer: int
    channel: int
    folder: Path
    questions: list[dict[str, Any]]
    plain: dict[str, Any] = field(default_factory=dict)  # the harness's results, by task
    zeroed: dict[str, Any] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        where = {"layer": self.layer, "channels": [self.channel], "tokens": "position:0"}
        return where | {"action": "zero"}

    def logs(self, name: str) -> list[Path]:
        return logged(self.folder / name)


def with_bos() -> Tokenizer:
    """Byte-level, with a BOS before each text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MODEL.vocabulary,
        show_progress=False,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([ENGLISH], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def random_model(folder: Path) -> Path:
    from transformers import PreTrainedTokenizerFast

    directory = save(make_random(MODEL), MODEL, folder)
    PreTrainedTokenizerFast(
        tokenizer_object=with_bos(), bos_token="<s>", eos_token="</s>"
    ).save_pretrained(directory)
    return directory


@pytest.fixture(
    scope="module", params=["with-bos", pytest.param("smollm2", marks=pytest.mark.slow)]
)
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "smollm2":
        assert SMOLLM2.exists(), f"{SMOLLM2}: expected the input of `make demo`: make weights"
        setting = Setting(SMOLLM2, 12, 507, folder, questions(4))
    else:
        setting = Setting(random_model(folder / "model"), 1, MASSIVE_CHANNEL, folder, questions(12))
    tasks = [Task(name, setting.questions, keys) for name, keys in TASKS.items()]
    labels = Labels(np.full(MAX_LENGTH + 1, 3))
    # In float64 last, whose results stay.
    for dtype, end in (("float32", "-single"), ("float64", "")):
        harness = Harness(setting.model, MAX_LENGTH, dtype)
        setting.plain.update(harness.run(tasks, folder / f"original{end}"))
        with intervened(blocks_of(harness.model.model), [setting.table()], labels, None):
            setting.zeroed.update(harness.run(tasks, folder / f"zero{end}"))
    return setting


def prepare(setting: Setting, *options: object) -> Path:
    output = setting.folder / "tasks.h5"
    command = [sys.executable, ROOT / "data/prepare_choices.py", "--tokenizer", setting.model]
    command += ["--output", output, "--max-length", MAX_LENGTH, *setting.logs("original"), *options]
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
    return output


PER_TOKEN = {1: "all", 2: "none"}


@pytest.fixture(scope="module", params=PER_TOKEN, ids=["m1", "m2"])
def swept(setting: Setting, request: pytest.FixtureRequest, program: Path) -> Iterator[ActsweepFile]:
    corpus, m = prepare(setting), request.param
    job = {
        "model": {"path": str(setting.model), "dtype": "float32"},
        "corpus": {"path": str(corpus), "windows": "per_document", "sequence_length": MAX_LENGTH + 1},
        "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 400},
        "statistics": {"sites": [], "loss": True},
        "intervention": [setting.table() | {"variant": "zero"}],
        "output": {"path": str(setting.folder / f"swept-{m}.h5"), "per_token": PER_TOKEN[m]},
    }
    with open_sweep(Sweep(program, job, m).run()) as sweep:
        yield sweep


def expected_scores(paths: Sequence[Path]) -> np.ndarray:
    """The harness's, of each choice and of each whole text."""
    return np.concatenate([one for path in paths for one in log_likelihoods(path)])


def allowed_errors(name: str, exact: Path, single: Path) -> np.ndarray:
    """Of each score of a task: 1e-4 nats for choices; of whole texts, and of a ruined model, what rounding
    may change, by the largest error of the harness' own float32."""
    expected, rounded = (np.concatenate(log_likelihoods(path)) for path in (exact, single))
    own = TIMES * np.abs(rounded - expected).max()
    is_choice = name == "original" and "_pages_" not in exact.name
    return np.full(len(expected), BOUND if is_choice else max(BOUND, own))


def found_scores(sweep: ActsweepFile, name: str) -> np.ndarray:
    """By choice; of a whole text the sum over its windows."""
    asked = results.requests(sweep)
    choice = np.where(asked["kind"] == results.WINDOW, 0, asked["part"])
    return asked[name].groupby([asked["question"], choice]).sum().to_numpy()


@pytest.mark.parametrize("name", ["original", "zero"])
def test_log_likelihoods_are_the_harness_s(setting: Setting, swept: ActsweepFile, name: str) -> None:
    assert swept.names("tasks") == sorted(TASKS)
    expected = expected_scores(setting.logs(name))
    in_both = zip(setting.logs(name), setting.logs(f"{name}-single"), strict=True)
    allowed = [allowed_errors(name, *paths) for paths in in_both]
    assert (np.abs(found_scores(swept, name) - expected) <= np.concatenate(allowed)).all()
    if name == "zero":
        plain = expected_scores(setting.logs("original"))
        assert np.abs(expected - plain).max() > 100 * BOUND  # the intervention is felt


@pytest.mark.parametrize("name", ["original", "zero"])
def test_accuracies_are_the_harness_s(setting: Setting, swept: ActsweepFile, name: str) -> None:
    expected = {"original": setting.plain, "zero": setting.zeroed}[name]
    found = results.accuracies(swept).query("variant == @name").set_index("task")
    assert sorted(found.index) == sorted(set(TASKS) - {"pages"})
    for task, row in found.iterrows():
        assert row["questions"] == len(setting.questions)
        assert row["accuracy"] == pytest.approx(expected[task]["acc,none"])
        if task != "contexts":
            assert row["accuracy by characters"] == pytest.approx(expected[task]["acc_norm,none"])
            assert row["accuracy by bytes"] == pytest.approx(expected[task]["acc_bytes,none"])


@pytest.mark.parametrize("name", ["original", "zero"])
def test_perplexities_are_the_harness_s(setting: Setting, swept: ActsweepFile, name: str) -> None:
    expected = {"original": setting.plain, "zero": setting.zeroed}[name]["pages"]
    (found,) = results.perplexities(swept).query("variant == @name").to_dict("records")
    for column, metric in (
        ("word perplexity", "word_perplexity"),
        ("byte perplexity", "byte_perplexity"),
        ("bits per byte", "bits_per_byte"),
    ):
        assert found[column] == pytest.approx(expected[f"{metric},none"], rel=1e-5)


def test_some_texts_are_longer_than_a_window(setting: Setting) -> None:
    with h5py.File(prepare(setting)) as file:
        lengths = np.diff(file["document_offset"][()].astype(int))
        group = file["requests"]
        windows = group["part"][()][group["kind"][()] == results.WINDOW]
    assert lengths.max() == MAX_LENGTH + 1
    assert windows.max() > 0


def test_plain_records_give_the_same_documents(setting: Setting, tmp_path: Path) -> None:
    records = [
        {"context": one["context"], "choices": [f" {end}" for end in one["ends"]], "answer": one["right"]}
        for one in setting.questions
    ]
    plain = tmp_path / "numbered.jsonl"
    plain.write_text("".join(json.dumps(record) + "\n" for record in records))
    output = tmp_path / "plain.h5"
    command = [sys.executable, ROOT / "data/prepare_choices.py", "--tokenizer", setting.model]
    command += ["--output", output, "--max-length", MAX_LENGTH, plain]
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
    (log,) = [path for path in setting.logs("original") if "numbered" in path.name]
    logged_output = tmp_path / "logged.h5"
    command[command.index(output)], command[-1] = logged_output, log
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
    with h5py.File(output) as file, h5py.File(logged_output) as other:
        assert file.attrs["corpus_fingerprint"] == other.attrs["corpus_fingerprint"]
