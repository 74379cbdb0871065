"""Private memory of processes: RssAnon of /proc/PID/status."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

SAMPLE_S = 0.05


def rss_anon_bytes(pid: int | Literal["self"]) -> int:
    """Of one process; 0 once it has ended."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def tree_bytes(pid: int) -> int:
    """Of a process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return rss_anon_bytes(pid) + sum(tree_bytes(int(child)) for child in children)


def peak_of(command: Sequence[object]) -> int:
    """The largest sum over the processes of a command that ends well."""
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        peak = 0
        while run.poll() is None:
            peak = max(peak, tree_bytes(run.pid))
            time.sleep(SAMPLE_S)
    assert run.returncode == 0
    return peak
