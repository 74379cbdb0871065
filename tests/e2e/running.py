"""What the tests of whole runs share: small inputs, job files, launches under mpirun, comparison.

The inputs are a random checkpoint (data/prepare_model.py random) and a token file of random ids, in
the format of data/README.md. ACTSWEEP_PROGRAM names the program (default: build/actsweep).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from support.sweeps import to_toml
from support.watching import Watch, children, run, wait_for_end, wait_until

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("ACTSWEEP_PROGRAM", ROOT / "build" / "actsweep"))
GIB = 1 << 30
STOPPED = 75
NOT_COMPARED = ("created", "device", "libraries")
VOCABULARY = 97
TINY = {
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "initializer_range": 0.3,
}

Job = dict[str, Any]  # sections of keys; lists of tables


def environment(**more: str) -> dict[str, str]:
    """The environment of a run: as root, on cores that are shared."""
    fixed = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        # When a rank fails mpirun waits 1 s each before it terminates and kills the others.
        "OMPI_MCA_odls_base_sigkill_timeout": "0",
        "OMP_WAIT_POLICY": "passive",
    }
    return {**os.environ, **fixed, **more}


def make_model(directory: Path, dtype: str = "float32", **config: Any) -> Path:
    """A random checkpoint with the configuration TINY, changed by `config`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    path = directory.with_name(directory.name + "-config.json")
    path.write_text(json.dumps({**TINY, **config}))
    program = str(ROOT / "data" / "prepare_model.py")
    command = [sys.executable, program, "random", str(path), str(directory), "--dtype", dtype]
    command += ["--program", str(PROGRAM)]
    subprocess.run(command, check=True, capture_output=True)
    return directory


def make_corpus(
    path: Path, tokens: int, *, vocabulary: int = VOCABULARY, seed: int = 1, special: str = "none"
) -> Path:
    """A token file of random ids in 7 documents, with the prompts "short" and "longer", which are the
    same whatever the seed."""
    generator, of_prompts = np.random.default_rng(seed), np.random.default_rng(7)
    ids = generator.integers(1, vocabulary, tokens).astype("<u4")
    ends = np.sort(generator.integers(0, tokens, 6))
    offsets = np.concatenate([[0], ends, [tokens]]).astype("<u8")
    spellings = [f" w{i}".encode() for i in range(vocabulary)]
    with h5py.File(path, "w") as file:
        file["ids"] = ids
        file["document_offset"] = offsets
        file["vocabulary/bytes"] = np.frombuffer(b"".join(spellings), dtype=np.uint8)
        file["vocabulary/offset"] = np.cumsum([0, *map(len, spellings)], dtype="<u8")
        classes = np.random.default_rng(0).integers(1, 4, vocabulary)  # of the tokenizer
        file["token_class"] = classes.astype(np.uint8)
        for name, length in (("short", 5), ("longer", 23)):
            file[f"prompts/{name}"] = of_prompts.integers(1, vocabulary, length).astype("<u4")
        file.attrs.update(
            {
                "schema": "actsweep-corpus",
                "schema_version": np.int64(1),
                "corpus_fingerprint": hashlib.sha256(ids.tobytes() + offsets.tobytes()).hexdigest(),
                "tokenizer_fingerprint": "random",
                "vocabulary_size": np.int64(vocabulary),
                "special_tokens": special,
                "bos_id": np.int64(0),
                "eos_id": np.int64(-1),
                "num_documents": np.int64(len(offsets) - 1),
            }
        )
    return path


def make_job(model: Path, corpus: Path, sweep: Path, /, **sections: Any) -> Job:
    """A job of one thread a rank that measures events, losses and a captured prompt; `sections`
    change or add keys, or are lists of tables."""
    job: Job = {
        "model": {"path": str(model)},
        "corpus": {"path": str(corpus), "sequence_length": 16},
        "parallel": {"tensor": 2, "threads": 1, "microbatch_tokens": 64, "block_tokens": 128},
        # Random weights have no massive activations: a criterion that a few of theirs pass.
        "statistics": {"loss": True, "criterion_magnitude": 4.0, "criterion_ratio": 3.0},
        "capture": {"prompts": ["short"]},
        "output": {"path": str(sweep), "segment_tokens": 256},
    }
    for name, keys in sections.items():
        job[name] = keys if isinstance(keys, list) else {**job.get(name, {}), **keys}
    return job


def write_job(path: Path, job: Job) -> Path:
    path.write_text(to_toml(job))
    return path


PATIENCE_S = 4  # of jobs in whose runs a rank stops


def dying_at(step: str) -> list[str]:
    """The command under which a rank kills itself at the step."""
    return ["env", f"ACTSWEEP_DIE_AT={step}"]


def stopping_at(step: str) -> list[str]:
    """The command under which a rank sends itself SIGUSR1 at the step."""
    return ["env", f"ACTSWEEP_STOP_AT={step}"]


def held_at(step: str) -> dict[str, str]:
    """The environment in which every rank stops its clock (SIGSTOP) at the step."""
    return {"ACTSWEEP_HOLD_AT": step}


def status_of(pid: int) -> dict[str, str]:
    """What /proc says of a process; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_held(pid: int) -> bool:
    return status_of(pid).get("State", "").startswith("T")


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether the process has been sent a signal that it has not seen."""
    pending = [status_of(pid).get(which, "0") for which in ("SigPnd", "ShdPnd")]
    return any(int(bits, 16) >> (number - 1) & 1 for bits in pending)


class Run:
    """`actsweep run` on some ranks, its output read as it comes."""

    def __init__(
        self,
        job: Path,
        ranks: int,
        *sets: str,
        rank: int | Sequence[int] = 0,
        under: Sequence[str] = (),
        program: Path = PROGRAM,
        options: Sequence[str] = (),
        **env: str,
    ) -> None:
        """`rank`, one or several, runs under the command `under`, the others plainly. `options` are
        mpirun's."""
        chosen = [rank] if isinstance(rank, int) else rank
        arguments = [str(program), "run", str(job), *(f"--set={text}" for text in sets)]
        command = ["mpirun", "--oversubscribe", *options]
        if not under:
            command += ["-n", str(ranks), *arguments]
        else:
            for each in range(ranks):
                own = under if each in chosen else []
                command += [":"] * (each > 0) + ["-n", "1", *own, *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**env),
        )
        self.lines: list[str] = []
        self._folder = job.parent  # of the output too
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, words: str) -> None:
        """Waits until a line holds the words."""
        watch = Watch(self.process.pid, [self._folder], self.log)
        with self._changed:
            while not any(words in line for line in self.lines):
                assert self.process.poll() is None and not watch.hangs(), self.log()
                self._changed.wait(0.2)

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Waits until holds() is true, which the run has to bring about."""
        try:
            wait_until(holds, self.process, [self._folder])
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def pids(self) -> list[int]:
        """The processes of the ranks, by rank."""
        found = {}
        for child in children(self.process.pid):
            for entry in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                    found[int(entry.split(b"=")[1])] = child
        return [found[rank] for rank in sorted(found)]

    def wait_for_hold(self) -> list[int]:
        """Waits until every rank is held (held_at); their processes."""
        self.wait_until(lambda: (pids := self.pids()) and all(map(is_held, pids)))
        return self.pids()

    def release_with(self, number: signal.Signals, pids: Sequence[int]) -> None:
        """Waits until these of the held ranks have been sent the signal, and lets all go on.

        mpirun wakes the ranks a second before it sends them SIGTERM: they are held again.
        """

        def sent() -> bool:
            for pid in self.pids():
                os.kill(pid, signal.SIGSTOP)
            return all(is_pending(pid, number) for pid in pids)

        self.wait_until(sent)
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)

    def finish(self) -> int:
        """Waits for the end of the run; its exit code."""
        code = wait_for_end(self.process, [self._folder], self.log)
        self._reader.join()
        return code


def run_well(job: Path, ranks: int, *sets: str, **env: str) -> str:
    """Runs to the end; the log."""
    run = Run(job, ranks, *sets, **env)
    assert run.finish() == 0, run.log()
    return run.log()


def run_alone(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command that runs without mpirun."""
    return run([PROGRAM, *arguments], env=environment())


def refuse(job: Path, code: int, *words: str, ranks: int = 2, sets: Sequence[str] = ()) -> str:
    """A run that ends with the exit code and one error, which holds the words; the log."""
    run = Run(job, ranks, *sets)
    assert run.finish() == code, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert len(errors) == 1, run.log()
    for word in words:
        assert word in run.log(), f"{word!r} is not in\n{run.log()}"
    return run.log()


def said(log: str, word: str = "error") -> str:
    """The one error (or warning) of a log, without time and rank."""
    (line,) = [line for line in log.splitlines() if f"] {word}: " in line]
    return line.split(f"] {word}: ")[1]


def segments_of(output: Path) -> dict[str, tuple[int, int]]:
    """The committed segments of a sweep file: name -> inode and time of the last change."""
    folder = output.with_name(output.name + ".segments")
    if not folder.exists():
        return {}
    states = {path.name: path.stat() for path in sorted(folder.glob("*.h5"))}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def attributes_of(item: h5py.HLObject, left_out: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Attributes but dimension scales' references, which are addresses in one file."""
    for name in sorted(item.attrs):
        if name not in left_out and name not in ("DIMENSION_LIST", "REFERENCE_LIST"):
            yield name, np.asarray(item.attrs[name]).tolist()


def assert_same_files(found: Path, expected: Path) -> None:
    """Every dataset bitwise, and every attribute but those that may differ."""
    with h5py.File(found) as mine, h5py.File(expected) as theirs:
        paths: list[str] = []
        theirs.visit(paths.append)
        mine_too: list[str] = []
        mine.visit(mine_too.append)
        assert mine_too == paths and len(paths) > 40
        assert dict(attributes_of(mine, NOT_COMPARED)) == dict(attributes_of(theirs, NOT_COMPARED))
        for path in paths:
            assert dict(attributes_of(mine[path])) == dict(attributes_of(theirs[path])), path
            if not isinstance(theirs[path], h5py.Dataset):
                continue
            assert mine[path].dtype == theirs[path].dtype, path
            assert mine[path].shape == theirs[path].shape, path
            assert mine[path][()].tobytes() == theirs[path][()].tobytes(), path
