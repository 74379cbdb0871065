"""prepare_choices.py: what it refuses, and the jobs that the sweep refuses of its files; its ids are held
against lm-evaluation-harness by tests/oracle/test_tasks.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import small_tokenizers
from preparing import assert_refused, run, run_well
from running import make_job, make_model, refuse, run_alone, said, write_job
from running import run_well as sweep_well
from support.compatibility import Compatibility
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

PROGRAM = "prepare_choices.py"
JOB, CORPUS, MODEL = 2, 3, 4
QUESTION = {"context": "A whole", "choices": [" is its parts.", " is not its parts."], "answer": 1}
LOGGED = {
    "arguments": {f"gen_args_{i}": {"arg_0": "A whole", "arg_1": one} for i, one in enumerate(QUESTION["choices"])},
    "target": "1",
}
TEXT = {"text": "Each token of this is scored."}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without weights: a tokenizer with a BOS, and a config."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = small_tokenizers.byte_level()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 64}))
    return folder


def write_records(folder: Path, *records: Any, name: str = "records.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rows_of(path: Path) -> dict[str, list[int]]:
    with h5py.File(path) as file:
        return {name: dataset[()].tolist() for name, dataset in file["requests"].items()}


def test_questions_and_texts_of_all_forms(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "tasks.h5"
    plain = write_records(tmp_path, QUESTION, TEXT, QUESTION | {"task": "named"}, TEXT | {"task": "texts"})
    log = write_records(tmp_path, LOGGED, name="samples_arc_easy_2026-11-29T18-31-38.123456.jsonl")
    said = run_well(PROGRAM, "--tokenizer", model, "--output", output, plain, log)
    assert "5 question(s) of records, named, texts, arc_easy, 8 document(s)" in said
    rows = rows_of(output)
    assert rows["task"] == [0, 0, 0, 1, 1, 2, 3, 3]
    assert rows["kind"] == [0, 0, 1, 0, 0, 1, 0, 0]
    assert rows["part"] == [0, 1, 0, 0, 1, 0, 0, 1]
    assert rows["is_answer"] == [0, 1, 0, 0, 1, 0, 0, 1]
    assert rows["characters"] == [13, 17, 29, 13, 17, 29, 13, 17]
    assert rows["words"] == [3, 4, 6, 3, 4, 6, 3, 4]
    with h5py.File(output) as file:
        offset, ids = file["document_offset"][()], file["ids"][()]
        documents = [ids[begin:end].tolist() for begin, end in zip(offset[:-1], offset[1:], strict=True)]
        assert json.loads(file.attrs["tasks"]) == ["records", "named", "texts", "arc_easy"]
    assert documents[0] == documents[3] == documents[6]
    assert [document[0] for document in documents] == [0] * 8  # the BOS


def test_answers_are_part_of_the_fingerprint(model: Path, tmp_path: Path) -> None:
    found = []
    for answer in (0, 1):
        output = tmp_path / f"{answer}.h5"
        records = write_records(tmp_path, QUESTION | {"answer": answer})
        run_well(PROGRAM, "--tokenizer", model, "--output", output, records)
        with h5py.File(output) as file:
            found.append((file.attrs["corpus_fingerprint"], file["ids"][()].tolist()))
    assert found[0][0] != found[1][0] and found[0][1] == found[1][1]


REFUSED = (
    ("a record of other keys", {"context": "x"}, "found the keys context"),
    ("an answer that no choice has", QUESTION | {"answer": 2}, "answer: expected a number from 0 to 1"),
    ("an answer of another type", QUESTION | {"answer": True}, "answer: expected a number from 0 to 1"),
    ("an empty list of answers", QUESTION | {"answer": []}, "answer: expected a number from 0 to 1"),
    ("one choice", QUESTION | {"choices": ["one"]}, "choices: expected a list of two texts or more"),
    ("a choice that is no text", QUESTION | {"choices": ["one", 2]}, "expected texts"),
    ("an empty choice", QUESTION | {"choices": ["one", ""]}, "the continuation '': expected 1 to 64 tokens, found 0"),
    ("a choice longer than a window", QUESTION | {"choices": ["one", "two " * 90]}, "expected 1 to 64 tokens, found"),
    ("a context that is no text", QUESTION | {"context": 7}, "context: expected a text, found the number 7"),
    ("an empty text", {"text": ""}, "expected a text with a token"),
    ("a task that is no text", QUESTION | {"task": 3}, "task: expected a text, found the number 3"),
    ("`--log_samples` of a task of one continuation", LOGGED | {"arguments": {"gen_args_0": {"arg_0": "a", "arg_1": "b"}}}, "two choices or more"),
    ("`--log_samples` whose arguments are a number", LOGGED | {"arguments": 3}, "arguments: expected an object or a list"),
    ("a target that no choice is", LOGGED | {"target": "maybe"}, "target: expected the number or the text of one of 2 choices, found 'maybe'"),
    ("a target's number beyond the choices", LOGGED | {"target": "2"}, "target: expected the number or the text of one of 2 choices, found '2'"),
    ("a record that is a list", [QUESTION], "expected an object, found a list"),
)  # fmt: skip


@pytest.mark.parametrize(("what", "record", "words"), REFUSED, ids=[case[0] for case in REFUSED])
def test_bad_record_is_refused_with_its_line(
    what: str, record: Any, words: str, model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    output = tmp_path / "tasks.h5"
    records = write_records(tmp_path, QUESTION, record)
    result = run(PROGRAM, "--tokenizer", model, "--output", output, records)
    assert_refused(result, CORPUS, "line 2", words)
    assert not output.exists() and not list(tmp_path.glob("*.partial"))
    compatibility("Corpora", f"tasks: {what}", "refused", result.stderr)


def test_directory_without_a_config_needs_a_length(model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bare / name).write_text((model / name).read_text())
    arguments = ["--tokenizer", bare, "--output", tmp_path / "tasks.h5", write_records(tmp_path, QUESTION)]
    assert_refused(run(PROGRAM, *arguments), MODEL, "config.json", "--max-length")
    run_well(PROGRAM, *arguments, "--max-length", 32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("checkpoint") / "model", vocab_size=500)


def make_tasks(model: Path, folder: Path, *names: str) -> list[Path]:
    """A token file for each name, of questions and a text of its own."""
    paths = []
    for name in names:
        questions = [QUESTION | {"context": f"{name} {number}"} for number in range(5)]
        records = write_records(folder, *questions, {"text": f"{name} is a text."}, name="task.jsonl")
        paths.append(folder / f"{name}.h5")
        run_well(PROGRAM, "--tokenizer", model, "--output", paths[-1], records)
    return paths


WINDOWS = (
    ({"windows": "packed", "sequence_length": 100}, '"packed" and 100'),
    ({"windows": "per_document", "sequence_length": 10}, '"per_document" and 10'),
)


@pytest.mark.parametrize(("windows", "found"), WINDOWS, ids=["packed", "short"])
def test_windows_that_cut_documents_are_refused(
    windows: dict[str, Any], found: str, model: Path, checkpoint: Path, tmp_path: Path,
    compatibility: Compatibility,
) -> None:  # fmt: skip
    (corpus,) = make_tasks(model, tmp_path, "one")
    job = make_job(checkpoint, corpus, tmp_path / "out.h5", corpus=windows, capture={"prompts": []})
    log = refuse(write_job(tmp_path / "job.toml", job), JOB, "its documents are scored whole", found)
    compatibility("Jobs and launches", f"tasks in windows that are {found}", "refused", said(log))


VARIANT = {"variant": "zero", "layer": 2, "channels": [3], "tokens": "position:0", "action": "zero"}


def test_files_of_parts_and_of_a_list_hold_the_same_rows(
    model: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """Two corpora as one list, over two ranks and in small segments, and merged of a sweep each."""
    corpora = make_tasks(model, tmp_path, "one", "two")
    windows = {"windows": "per_document", "sequence_length": 64}
    found = {}
    for name, ranks, paths in (("list", 2, corpora), ("one", 1, corpora[:1]), ("two", 2, corpora[1:])):
        job = make_job(
            checkpoint, paths[0], tmp_path / f"out-{name}.h5", capture={"prompts": []},
            corpus=windows | {"path": [str(path) for path in paths]},
            parallel={"tensor": 1}, output={"per_token": "none", "segment_tokens": 64},
            intervention=[VARIANT],
        )  # fmt: skip
        sweep_well(write_job(tmp_path / f"{name}.toml", job), ranks)
        found[name] = tmp_path / f"out-{name}.h5"
    found["merged"] = tmp_path / "merged.h5"
    merged = run_alone("merge", found["one"], found["two"], "-o", found["merged"])
    assert merged.returncode == 0, merged.stderr
    with h5py.File(found["list"]) as file, h5py.File(found["merged"]) as other:
        assert file.attrs["tasks"] == other.attrs["tasks"] == '["task"]'
        for path in (*(f"requests/{name}" for name in file["requests"]), "variants/log_likelihood"):
            assert file[path].shape[-1] == 22
            assert np.array_equal(file[path][()], other[path][()]), path
