"""What the tests of Slurm's jobs share: submission, what a job has said and committed, its processes."""

from pathlib import Path

from cluster import Cluster, wait_until
from running import PROGRAM, assert_same_files, segments_of
from slow_job import SCRIPTS

JOB_ENVIRONMENT = {
    "ACTSWEEP": str(PROGRAM),
    "OMP_WAIT_POLICY": "passive",
    "OMPI_MCA_mpi_yield_when_idle": "1",  # two jobs share the cores
}


def submit(cluster: Cluster, job: Path, *options: str) -> str:
    """Submits the sweep with two tasks and a log beside its job file; the job's number."""
    log = f"--output={job.parent / 'log'}"
    command = ["sbatch", "--parsable", "--ntasks=2", "--time=20", log, *options]
    return cluster.run(*command, SCRIPTS / "sweep.sbatch", job, **JOB_ENVIRONMENT)


def log_of(job: Path) -> str:
    path = job.parent / "log"
    return path.read_text() if path.exists() else ""


def committed(job: Path) -> list[int]:
    """The numbers of the committed segments."""
    names = segments_of(job.parent / "sweep.h5")
    return sorted(int(name.removeprefix("segment-").removesuffix(".h5")) for name in names)


def ranks_of(number: str) -> list[int]:
    """The processes of a job's program."""
    wanted = f"SLURM_JOB_ID={number}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_program = (process / "exe").readlink() == PROGRAM.resolve()
            if is_program and wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue  # has ended meanwhile, or is not ours
    return found


def wait_for_segment(job: Path) -> None:
    wait_until(
        lambda: committed(job), lambda: f"nothing is committed:\n{log_of(job)}", job.parent
    )


def assert_complete(job: Path, expected: Path) -> None:
    """The file, and nothing else but the logs."""
    assert_same_files(job.parent / "sweep.h5", expected)
    left = {path.name for path in job.parent.iterdir() if not path.name.startswith("log")}
    assert left == {"job.toml", "sweep.h5"}


def wrapped(cluster: Cluster, job: Path, command: str, *options: str) -> tuple[str, str]:
    """A job of two tasks that runs one command; its exit code and what it says. `options` come behind."""
    log = job.parent / "log-wrapped"
    words = ["sbatch", "--parsable", "--ntasks=2", "--time=20", f"--output={log}", *options]
    number = cluster.run(*words, f"--wrap={command}", **JOB_ENVIRONMENT)
    cluster.wait_for_state(number, "COMPLETED", "FAILED")
    return cluster.facts(number)["ExitCode"], log.read_text()
