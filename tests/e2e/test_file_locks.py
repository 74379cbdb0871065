"""A file system without locks (Lustre without flock, NFS without its daemon): sweeps go through."""

import subprocess
from pathlib import Path

import pytest
from running import assert_same_files, make_job, run_well, write_job

from support.compatibility import Compatibility

# Preloaded into a rank: every lock of a file is refused, as by a kernel that has none.
WITHOUT_LOCKS = """
#include <errno.h>
int flock(int descriptor, int operation) { (void)descriptor; (void)operation; errno = %s; return -1; }
"""


@pytest.mark.parametrize("reason", ["ENOSYS", "ENOLCK"])
def test_file_system_without_locks(
    reason: str, model: Path, corpus: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    source, shim = tmp_path / "flock.c", tmp_path / "flock.so"
    source.write_text(WITHOUT_LOCKS % reason)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    files = []
    for name, environment in (("with", {}), ("without", {"LD_PRELOAD": str(shim)})):
        job = make_job(model, corpus, tmp_path / f"{name}.h5")
        run_well(write_job(tmp_path / f"{name}.toml", job), 2, **environment)
        files.append(tmp_path / f"{name}.h5")
    assert_same_files(*files)
    compatibility("Outputs", "a file system without locks", "read")
