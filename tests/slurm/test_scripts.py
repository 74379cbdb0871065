"""What the batch scripts make of a job and their environment, with programs that only print in
Slurm's place: no cluster is needed."""

import os
import subprocess
from pathlib import Path

import pytest
from slow_job import SCRIPTS

from support import watching

FAKES = {
    "srun": 'echo "srun $*"; echo "cpus ${SRUN_CPUS_PER_TASK:-unset}"; exit "${SRUN_CODE:-0}"',
    "squeue": 'case "$*" in *%e*) echo 1700000000 ;; *) echo "$STATE" ;; esac',
    "scontrol": 'echo "scontrol $*"',
    "sbatch": 'echo "sbatch $*" >&2; echo 41',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the fakes, a program and a job."""
    (tmp_path / "bin").mkdir()
    for name, text in FAKES.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "actsweep").symlink_to("/bin/true")
    (tmp_path / "job.toml").write_text('[output]\npath = "out/sweep.h5"\n')
    return tmp_path


def run(folder: Path, script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    fixed = {"PATH": path, "SLURM_JOB_ID": "7", "STATE": "RUNNING None"}
    environment = {**inherited, **fixed, **env}
    return watching.run(["bash", SCRIPTS / script, *arguments], cwd=folder, env=environment)


def commit(folder: Path, *numbers: int) -> None:
    segments = folder / "out" / "sweep.h5.segments"
    segments.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (segments / f"segment-{number:06}.h5").touch()


@pytest.mark.parametrize(
    ("text", "sets", "output"),
    [
        ('[model]\npath = "m"\n\n [output] # here\n  path="a b.h5" # there\n', [], "a b.h5"),
        ("[output]\nsegment_tokens = 4\npath = 'c.h5'\n[corpus]\npath = 'd'\n", [], "c.h5"),
        ('[output]\npath = "e.h5"\n', ["--set", "output.path=f.h5", "--set", "model.x=1"], "f.h5"),
        ('[output]\npath = "g.h5"\n', ["--set=output.path='h.h5'"], "h.h5"),
        ("[model]\n", ["--set", "output.path=i.h5", "--set", 'output.path="j.h5"'], "j.h5"),
    ],
)
def test_output_is_that_of_the_job(folder: Path, text: str, sets: list[str], output: str) -> None:
    (folder / "job.toml").write_text(text)
    result = run(folder, "sweep.sbatch", "job.toml", *sets, SRUN_CODE="75")
    assert result.returncode == 75
    assert (folder / f"{output}.starts-7").read_text() == "0\n"
    assert f"build/actsweep run job.toml {' '.join(sets)}".rstrip() in result.stdout
    assert "scontrol requeue 7" in result.stdout


@pytest.mark.parametrize("code", [0, 2, 6, 137])
def test_other_codes_end_the_job(folder: Path, code: int) -> None:
    result = run(folder, "sweep.sbatch", "job.toml", SRUN_CODE=str(code))
    assert result.returncode == code and "scontrol" not in result.stdout
    assert not list(folder.glob("out/*"))


@pytest.mark.parametrize("code", [138, 143])
def test_a_signal_before_the_program_listens_is_a_stop(folder: Path, code: int) -> None:
    result = run(folder, "sweep.sbatch", "job.toml", SRUN_CODE=str(code))
    assert result.returncode == 75 and "scontrol requeue 7" in result.stdout


@pytest.mark.parametrize(
    ("state", "is_requeued"),
    [
        ("RUNNING None", True),
        ("COMPLETING TimeLimit", True),
        ("COMPLETING None", False),
        ("", False),
    ],
)
def test_requeued_by_its_state(folder: Path, state: str, is_requeued: bool) -> None:
    result = run(folder, "sweep.sbatch", "job.toml", SRUN_CODE="75", STATE=state)
    assert result.returncode == 75
    assert ("scontrol requeue" in result.stdout) == is_requeued
    assert ("not requeued" in result.stderr) != is_requeued


def test_commits_of_other_shards_do_not_count(folder: Path) -> None:
    array = {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "3"}
    array |= {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "2", "SRUN_CODE": "75"}
    array["ACTSWEEP_SLURM"] = str(SCRIPTS)
    commit(folder, 0, 1, 8, 9)  # 1 is ours
    for restart in range(3):
        result = run(folder, "array.sbatch", "job.toml", SLURM_RESTART_COUNT=str(restart), **array)
        assert '--set corpus.shard="1/3"' in result.stdout
        assert ("scontrol requeue 5_1" in result.stdout) == (restart < 2), result.stderr
        commit(folder, 3 * restart + 11)
    assert "beyond the 1 in out/sweep.h5.segments: giving up" in result.stderr
    assert not list(folder.glob("out/*.starts*"))


def test_a_commit_or_a_new_submission_starts_the_count_again(folder: Path) -> None:
    restarts = ["0", "1", "2", "3", "0", "1", "2"]
    for position, restart in enumerate(restarts):
        if position == 2:
            commit(folder, 0)  # as by the program of the first restart
        code = {"SRUN_CODE": "75", "SLURM_RESTART_COUNT": restart}
        result = run(folder, "sweep.sbatch", "job.toml", **code)
        is_last = position == 3 or position == 6
        assert ("giving up" in result.stderr) == is_last, position


@pytest.mark.parametrize("shard", [None, "1/3"])
@pytest.mark.parametrize("job", ["7", "8"])
def test_lock_of_a_killed_program_goes_with_its_job(
    folder: Path, job: str, shard: str | None
) -> None:
    """Job 7 is this one; another's stays."""
    segments = folder / "out" / "sweep.h5.segments"
    segments.mkdir(parents=True)
    name = "lock" if shard is None else "lock-1-of-3"
    for lock in {"lock", name, "lock-0-of-3"}:
        (segments / lock).write_text(f"host node1\njob {job}\nrestart 0\nstarted today\n")
    sets = [] if shard is None else ["--set", f'corpus.shard="{shard}"']
    result = run(folder, "sweep.sbatch", "job.toml", *sets, SRUN_CODE="137")
    assert result.returncode == 137
    assert (segments / name).exists() == (job == "8")
    assert (segments / "lock-0-of-3").exists()


def test_segments_of_a_link_lie_beside_its_target(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "sweep.h5").symlink_to("../scratch/real.h5")
    run(folder, "sweep.sbatch", "job.toml", SRUN_CODE="75")
    assert (folder / "scratch" / "real.h5.starts-7").read_text() == "0\n"


def test_cpus_per_task_reach_srun(folder: Path) -> None:
    assert "cpus unset" in run(folder, "sweep.sbatch", "job.toml").stdout
    result = run(folder, "sweep.sbatch", "job.toml", SLURM_CPUS_PER_TASK="3")
    assert "cpus 3" in result.stdout


def test_refusals(folder: Path) -> None:
    cases = [
        ([], {}, "usage: sbatch"),
        (["job.toml"], {"ACTSWEEP": "no/program"}, "no/program: expected the program, found none"),
        (["other.toml"], {}, 'other.toml: expected a line path = "..." under [output]'),
    ]
    for arguments, env, words in cases:
        result = run(folder, "sweep.sbatch", *arguments, **env)
        assert result.returncode == 2 and words in result.stderr, result
    array = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "1"}
    array |= {"SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "2"}
    result = run(folder, "array.sbatch", "job.toml", **array)
    assert result.returncode == 2 and "expected the elements 0 to N-1" in result.stderr
    for arguments in (["job.toml"], ["job.toml", "1"], ["job.toml", "x"]):
        result = run(folder, "submit_array.sh", *arguments)
        assert result.returncode == 2 and "usage: slurm/submit_array.sh" in result.stderr


def test_submit_array_gives_options_and_arguments_to_both(folder: Path) -> None:
    words = ["job.toml", "4", "--nodes=2", "--time=60", "--", "--set", "model.path=m"]
    result = run(folder, "submit_array.sh", *words)
    assert (result.returncode, result.stdout) == (0, "41\n41\n"), result.stderr
    first, second = result.stderr.splitlines()
    options = "sbatch --parsable --nodes=2 --time=60"
    arguments = "job.toml --set model.path=m"
    assert first == f"{options} --array=0-3 {SCRIPTS}/array.sbatch {arguments}"
    assert second == f"{options} --dependency=afterany:41 {SCRIPTS}/sweep.sbatch {arguments}"
