"""What data/prepare_corpus.py refuses: one clear error, its exit code, and no file."""

from __future__ import annotations

import gzip
import errno
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from preparing import MIB, SMOLLM2, TEXT, assert_refused, run, run_well, write
from preparation.errors import CORPUS, PreparationError
from preparation.tokenizer_directory import load_tokenizer
from preparation.vocabulary import Vocabulary, load_vocabulary
from preparation.workers import KilledWorkerError, worker_pool
from support.watching import wait_for_end, wait_until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's tokenizer directory, as prepare_model.py makes it."""
    directory = tmp_path_factory.mktemp("model") / "smollm2"
    run_well("prepare_model.py", "gguf", SMOLLM2, directory, "--dtype", "bfloat16")
    return directory


def run_corpus(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run("prepare_corpus.py", *arguments)


def assert_no_file(
    result: subprocess.CompletedProcess[str], code: int, directory: Path, *words: str
) -> None:
    assert_refused(result, code, *words)
    assert not list(directory.glob("out.h5*"))


def known_of(directory: Path) -> Vocabulary:
    return load_vocabulary(load_tokenizer(directory))


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.txt", b"good \xe2\x82\xac " + b"\xff more", ["bad.txt", "byte 9", "UTF-8"]),
        ("far.txt", b"x\n" * (2 * MIB) + b"\xe2\x82", ["far.txt", f"byte {4 * MIB}", "UTF-8"]),
        ("bad.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', ["bad.jsonl", "byte 24", "UTF-8"]),
        ("no.jsonl", b'{"text": "a"}\n\n{"body": "b"}\n', ["no.jsonl", "line 3", '"text"']),
        ("number.jsonl", b'{"text": 3}', ["number.jsonl", "line 1", '"text"']),
        ("list.jsonl", b"[1]", ["list.jsonl", "line 1", '"text"']),
        ("half.jsonl", b'{"text": "a"}\n{"te', ["half.jsonl", "line 2", "not JSON"]),
        ("pair.jsonl", b'{"text": "\\ud800"}', ["pair.jsonl", "line 1", "surrogate"]),
        ("cut.txt.gz", gzip.compress(TEXT.encode())[:-9], ["cut.txt.gz", "gzip"]),
        ("rot.txt.gz", gzip.compress(b"x" * 999)[:20] + b"\xff" * 30, ["rot.txt.gz", "gzip"]),
        ("empty.txt", b"", ["empty"]),
        ("empty.jsonl", b"\n\n", ["empty"]),
    ],
)
def test_bad_corpus_is_refused(
    name: str, content: bytes, words: list[str], jobs: int, model: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    output = tmp_path / "out.h5"
    result = run_corpus("--tokenizer", model, "--output", output, "--jobs", jobs, tmp_path / name)
    assert_no_file(result, 3, tmp_path, *words)


def test_missing_corpus_file_is_refused(model: Path, tmp_path: Path) -> None:
    good = write(tmp_path / "a.txt", "text")
    (tmp_path / "folder").mkdir()
    for bad in (tmp_path / "none.txt", tmp_path / "folder", tmp_path / "none*"):
        result = run_corpus("--tokenizer", model, "--output", tmp_path / "out.h5", good, bad)
        assert_no_file(result, 3, tmp_path, str(bad))


def test_bad_model_directory_is_refused(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "text")
    options = ("--output", tmp_path / "out.h5", source)
    result = run_corpus("--tokenizer", tmp_path, *options)
    assert_no_file(result, 4, tmp_path, str(tmp_path), "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert_no_file(
        run_corpus("--tokenizer", tmp_path, *options), 4, tmp_path, "does not hold a tokenizer"
    )

    content = json.loads((model / "tokenizer.json").read_text())
    content["decoder"] = {"type": "BPEDecoder", "suffix": "</w>"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert_no_file(
        run_corpus("--tokenizer", tmp_path, *options), 4, tmp_path, "decoder", "BPEDecoder"
    )

    (tmp_path / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    result = run_corpus("--tokenizer", tmp_path, *options, "--special", "bos")
    assert_no_file(result, 4, tmp_path, "--special bos", "BOS")


def test_roles_of_config_json_are_no_tokenizers(model: Path, tmp_path: Path) -> None:
    """AutoTokenizer takes BOS and EOS from its own files alone, and adds a BOS that has no id."""
    (tmp_path / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    (tmp_path / "config.json").write_text('{"bos_token_id": 7, "eos_token_id": [8, 9]}')
    known = known_of(tmp_path)
    assert (known.bos_id, known.eos_id) == (-1, -1)
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": "<bos>", "eos_token": null}')
    known = known_of(tmp_path)
    assert (known.bos_id, known.eos_id) == (49152, -1)
    assert known.spellings[49152:] == [b"<bos>"]


@pytest.mark.parametrize("prompts", [["noequals"], ["a/b=x"], ["p="], ["p=x", "p=y"]])
def test_bad_prompt_is_a_bad_command_line(prompts: list[str], model: Path, tmp_path: Path) -> None:
    options = [word for prompt in prompts for word in ("--prompt", prompt)]
    source = write(tmp_path / "a.txt", "text")
    result = run_corpus("--tokenizer", model, "--output", tmp_path / "out.h5", source, *options)
    assert result.returncode == 2 and "--prompt" in result.stderr
    assert not (tmp_path / "out.h5").exists()


def test_unwritable_output_is_refused(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "text")
    result = run_corpus("--tokenizer", model, "--output", source / "out.h5", source)
    assert_no_file(result, 6, tmp_path, "output")
    result = run_corpus("--tokenizer", model, "--output", tmp_path, source)
    assert_no_file(result, 6, tmp_path, str(tmp_path), "directory")


def test_refused_run_keeps_the_earlier_file(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "text")
    assert (
        run_corpus("--tokenizer", model, "--output", tmp_path / "kept.h5", source).returncode == 0
    )
    before = (tmp_path / "kept.h5").read_bytes()
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    result = run_corpus(
        "--tokenizer", model, "--output", tmp_path / "kept.h5", tmp_path / "bad.txt"
    )
    assert result.returncode == 3
    assert (tmp_path / "kept.h5").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("kept*")) == ["kept.h5"]


def workers_of(pid: int) -> list[int]:
    """The worker processes of a running program, by their command line."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_killed_worker_is_one_clear_error(model: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The year was different from 1999, and so on.\n" * 2_000_000)
    output = tmp_path / "corpus.h5"
    command = [sys.executable, Path(__file__).resolve().parents[2] / "data/prepare_corpus.py", "--tokenizer", model, "--output", output]
    with subprocess.Popen([*command, "--jobs", "2", text], stderr=subprocess.PIPE, text=True) as run:
        wait_until(lambda: workers_of(run.pid), run)
        os.kill(workers_of(run.pid)[0], signal.SIGKILL)
        wait_for_end(run, [tmp_path])
        assert run.stderr is not None
        errors = run.stderr.read()
    assert run.returncode == 3, errors
    assert "a worker process was killed" in errors and "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (OSError("handle is closed"), KilledWorkerError, "a worker process was killed"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), KilledWorkerError, "a worker process was killed"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), PreparationError, "cannot start worker"),
    ],
)
def test_an_error_of_the_pool_is_none_of_the_output(
    error: OSError, expected: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python's pool raises when a worker is killed while it is given work, or none can be started."""

    def refuse(*_given: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(ProcessPoolExecutor, "submit", refuse)
    with pytest.raises(PreparationError, match=words) as caught, worker_pool(2, print) as pool:
        pool.submit(print)
    assert type(caught.value) is expected and caught.value.exit_code == CORPUS
