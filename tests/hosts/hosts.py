"""Hosts for tests: network namespaces with a name each, joined by a bridge, and mpirun's ssh path into them.

Every name carries the process that made it; what it made goes with it. Needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from running import PROGRAM, Run

HERE = Path(__file__).resolve().parent
PREFIX = f"acts{os.getpid()}"
SUBNET = f"10.{100 + os.getpid() % 100}.0"


def ip(*words: object) -> str:
    command = ["ip", *(str(word) for word in words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def why_none() -> str:
    """What stands in the way of making hosts here; empty where nothing."""
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "ip and tc (iproute2) are not installed"
    try:
        ip("netns", "add", f"{PREFIX}-try")
        ip("netns", "delete", f"{PREFIX}-try")
        ip("link", "add", f"{PREFIX}t", "type", "bridge")
        ip("link", "delete", f"{PREFIX}t")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces can be made: {error.stderr.strip()}"
    return ""


class Hosts:
    """`count` hosts with the addresses SUBNET.1, SUBNET.2, …; this machine is SUBNET.254."""

    def __init__(self, count: int = 2) -> None:
        self.numbers = range(1, count + 1)
        ip("link", "add", f"{PREFIX}b", "type", "bridge")
        try:
            ip("address", "add", f"{SUBNET}.254/24", "dev", f"{PREFIX}b")
            ip("link", "set", f"{PREFIX}b", "up")
            for number in self.numbers:
                self._add(number)
        except BaseException:
            self.remove()
            raise

    def _add(self, number: int) -> None:
        name, cable = self.name(number), self.cable(number)
        ip("netns", "add", name)
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", cable, "master", f"{PREFIX}b", "up")
        ip("-n", name, "address", "add", f"{SUBNET}.{number}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", "eth0", "up")

    @staticmethod
    def name(number: int) -> str:
        return f"{PREFIX}-{number}"

    @staticmethod
    def cable(number: int) -> str:
        """This machine's end of it."""
        return f"{PREFIX}c{number}"

    def pull_cable(self, number: int) -> None:
        ip("link", "set", self.cable(number), "down")

    def plug_cable(self, number: int) -> None:
        ip("link", "set", self.cable(number), "up")

    def slow_cable(self, number: int, rate: str) -> None:
        """What goes to the host."""
        shape = ["tbf", "rate", rate, "burst", "32kb", "latency", "400ms"]
        command = ["tc", "qdisc", "add", "dev", self.cable(number), "root", *shape]
        subprocess.run(command, check=True)

    def mend(self) -> None:
        """Ends what runs on the hosts; all cables as they were."""
        for number in self.numbers:
            self.kill(number)
            command = ["tc", "qdisc", "del", "dev", self.cable(number), "root"]
            subprocess.run(command, check=False, capture_output=True)
            self.plug_cable(number)
            ip("-n", self.name(number), "neighbor", "flush", "all")
            ip("neighbor", "flush", "dev", f"{PREFIX}b")
            while not self._reaches_us(number):
                time.sleep(0.1)

    def _reaches_us(self, number: int) -> bool:
        """A host that does is told that nobody listens here."""
        probe = ["bash", "-c", f"exec 3<>/dev/tcp/{SUBNET}.254/1"]
        command = ["ip", "netns", "exec", self.name(number), *probe]
        return "refused" in subprocess.run(command, capture_output=True, text=True).stderr

    def pids(self, number: int) -> list[int]:
        return [int(pid) for pid in ip("netns", "pids", self.name(number)).split()]

    def kill(self, number: int) -> None:
        """All processes of the host at once, as when it loses power."""
        for pid in self.pids(number):
            os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        for number in self.numbers:
            if (Path("/run/netns") / self.name(number)).exists():
                self.kill(number)
                ip("netns", "delete", self.name(number))
        ip("link", "delete", f"{PREFIX}b")


def rank_of(pid: int) -> int | None:
    """Of a process that mpirun has started as a rank."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if not Path(f"/proc/{pid}/exe").resolve().samefile(PROGRAM):
            return None
    except OSError:
        return None
    found = [entry for entry in entries if entry.startswith(b"OMPI_COMM_WORLD_RANK=")]
    return int(found[0].split(b"=")[1]) if found else None


class HostRun(Run):
    """`actsweep run` on 2 ranks of each host, in the order of hosts or dealt to them in turn.

    `under[number]` is the command under which everything on a host runs.
    """

    def __init__(
        self,
        hosts: Hosts,
        job: Path,
        *sets: str,
        cyclic: bool = False,
        under: dict[int, str] | None = None,
        **env: str,
    ) -> None:
        self._hosts = hosts
        net = f"{SUBNET}.0/24"
        # A peer that is gone without a word is noticed in a dozen seconds, not in ten minutes.
        parameters = {
            "plm_rsh_agent": HERE / "enter_host",
            "plm_rsh_no_tree_spawn": 1,
            "oob_tcp_if_include": net,
            "btl_tcp_if_include": net,
            "btl": "self,vader,tcp",
            "oob_tcp_keepalive_time": 5,
            "oob_tcp_keepalive_intvl": 2,
            "oob_tcp_keepalive_probes": 3,
        }
        options: list[str] = ["--map-by", "node"] if cyclic else []
        for name, value in parameters.items():
            options += ["--mca", name, str(value)]
        addresses = ",".join(f"{SUBNET}.{number}:2" for number in hosts.numbers)
        options += ["--host", addresses]
        more = {f"ACTSWEEP_HOST_{number}": command for number, command in (under or {}).items()}
        super().__init__(
            job, 2 * len(hosts.numbers), *sets, options=options, ACTSWEEP_HOSTS=PREFIX, **more, **env
        )

    def rank(self, number: int) -> int:
        """The process of a rank."""
        everyone = [pid for host in self._hosts.numbers for pid in self._hosts.pids(host)]
        (pid,) = [pid for pid in everyone if rank_of(pid) == number]
        return pid

    def ranks_left(self) -> Sequence[int]:
        everyone = [pid for host in self._hosts.numbers for pid in self._hosts.pids(host)]
        return [pid for pid in everyone if rank_of(pid) is not None]
