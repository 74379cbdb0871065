"""A private Slurm for tests: munged, slurmctld and a slurmd of each node, without systemd.

A node is this host, or one that tests/hosts/hosts.py makes. Everything lies under one new folder in /tmp and
on free ports. The daemons are children of the test (and end with it): stop() ends them by their process,
after the jobs.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.watching import Look, Stillness, folder_state, run

NODE_CPUS = 4
GRACE_S = 30  # that a preempted job has
DAEMONS = ("munged", "slurmctld", "slurmd")

# `low` is preempted by `high`. The time a credential lives (cred_expire) delays a requeued job.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}({address})
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
TmpFS={folder}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin={task_plugin}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters={selected}
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
SlurmdTimeout={node_timeout}
ReturnToService=2
KillWait=20
KillOnBadExit=1
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime={grace} State=UP
PartitionName=high Nodes=ALL PriorityTier=9 PreemptMode=OFF State=UP
"""


@dataclass(frozen=True)
class Node:
    """`enter`: the command under which its daemon runs; empty for this host."""

    name: str = "node1"
    address: str = "127.0.0.1"
    host: str = ""
    enter: tuple[str, ...] = ()

    def line(self, port: int) -> str:
        host = self.host or this_host()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        place = f"NodeHostname={host} NodeAddr={self.address} Port={port}"
        return f"NodeName={self.name} {place} CPUs={NODE_CPUS} RealMemory={memory}"


def this_host() -> str:
    return socket.gethostname().split(".")[0]


def missing_programs() -> list[str]:
    """Those of Slurm's daemons that are not installed."""
    return [name for name in DAEMONS if shutil.which(name, path=search_path()) is None]


def search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(holds: Callable[[], object], what: Callable[[], str], *folders: Path) -> None:
    """Waits until holds() is true; fails with what() once no file in the folders changes for long."""
    stillness = None
    while not holds():
        look = Look([folder_state(folder) for folder in folders], {})
        stillness = stillness or Stillness(look, time.monotonic())
        assert not stillness.is_hang(look, time.monotonic()), what()
        time.sleep(0.1)


class Cluster:
    def __init__(
        self,
        nodes: Sequence[Node] = (Node(),),
        address: str = "127.0.0.1",
        constrains_memory: bool = False,
        node_timeout: int = 300,
    ) -> None:
        """Starts the daemons. `address` is the controller's, which all nodes reach."""
        # Not pytest's folder: munged wants one that everybody may enter, with a short name.
        self.folder = Path(tempfile.mkdtemp(prefix="actsweep-slurm-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.logs_folder = self.folder / "logs"
        self.environment = {
            **os.environ,
            "PATH": search_path(),
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._is_up = False
        try:
            self._configure(
                nodes,
                address=address,
                node_timeout=node_timeout,
                task_plugin="task/cgroup" if constrains_memory else "task/none",
                selected="CR_CPU_Memory" if constrains_memory else "CR_CPU",
            )
            limits = "ConstrainRAMSpace=yes\n" if constrains_memory else ""
            # Without the plugin's name slurmd looks for one.
            (self.folder / "cgroup.conf").write_text(f"CgroupPlugin=cgroup/v1\n{limits}")
            self._start_munge()
            self._start("slurmctld", "-D", "-i")
            self._wait_for_answer("scontrol", "ping")
            for node in nodes:
                self.start_node(node)
            self._is_up = True
        except BaseException:
            self.stop()
            raise

    def _configure(self, nodes: Sequence[Node], **values: object) -> None:
        for name in ("munge", "state", "spool", "logs", "tmp"):
            (self.folder / name).mkdir()
        controller_port, *node_ports = free_ports(1 + len(nodes))
        text = CONFIGURATION.format(
            host=this_host(),
            user=getpass.getuser(),
            folder=self.folder,
            nodes="\n".join(node.line(port) for node, port in zip(nodes, node_ports, strict=True)),
            grace=GRACE_S,
            controller_port=controller_port,
            **values,
        )
        (self.folder / "slurm.conf").write_text(text)

    def start_node(self, node: Node) -> None:
        """Its daemon, also once more where that has gone: then a job may wait for the node, which has an empty
        disk (files that Slurm's PMIx left of a step keep one of the same number from beginning)."""
        shutil.rmtree(self.folder / "spool" / node.name, ignore_errors=True)
        shutil.rmtree(self.folder / "tmp" / node.name, ignore_errors=True)
        (self.folder / "tmp" / node.name).mkdir()
        self._start("slurmd", "-D", "-N", node.name, enter=node.enter)
        state = f"sinfo -h -n {node.name} -p low -o %T | grep -xE 'idle|mixed|allocated'"
        self._wait_for_answer("sh", "-c", state)

    def _start_munge(self) -> None:
        munge = self.folder / "munge"
        key = munge / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        files = {"socket": "socket", "key-file": "key", "log-file": "log"}
        files |= {"pid-file": "pid", "seed-file": "seed"}
        self._start("munged", "-F", *(f"--{name}={munge / file}" for name, file in files.items()))
        self._wait_for_answer("munge", "-n", "-S", str(munge / "socket"))

    def _start(self, name: str, *arguments: str, enter: Sequence[str] = ()) -> None:
        """A daemon in the foreground, beyond Ctrl-C, ended by the kernel if this process dies."""
        with open(self.logs_folder / f"{name}{len(self._daemons)}.log", "wb") as log:
            command = [*enter, "setpriv", "--pdeathsig", "TERM", name, *arguments]
            self._daemons.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, env=self.environment, start_new_session=True
                )
            )

    def _wait_for_answer(self, *command: str) -> None:
        def answers() -> bool:
            ended = [daemon.args for daemon in self._daemons[-1:] if daemon.poll() is not None]
            assert not ended, f"{ended} ended:\n{self.logs()}"
            result = subprocess.run(command, env=self.environment, capture_output=True, check=False)
            return result.returncode == 0

        wait_until(answers, lambda: f"{command} has no answer:\n{self.logs()}", self.logs_folder)

    def logs(self) -> str:
        """The last words of the daemons."""
        paths = self.logs_folder.glob("*.log")
        texts = [f"{path.name}:\n{path.read_text()[-2000:]}" for path in paths]
        return "\n".join(texts)

    def run(self, *command: object, **env: str) -> str:
        """A command of Slurm's that must succeed; what it prints."""
        result = run(command, env={**self.environment, **env})
        assert result.returncode == 0, f"{command}: {result.stderr}{self.logs()}"
        return result.stdout.strip()

    def facts(self, job: str) -> dict[str, str]:
        """What `scontrol show job` says of one job."""
        words = self.run("scontrol", "show", "--oneliner", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for_state(self, job: str, *states: str) -> None:
        """The job works in the folder of its log."""
        output = Path(self.facts(job)["StdOut"])
        wait_until(
            lambda: self.facts(job)["JobState"] in states,
            lambda: f"job {job} is not {' or '.join(states)}: {self.facts(job)}\n{self.logs()}",
            self.logs_folder,
            *([] if output == Path("/dev/null") else [output.parent]),
        )

    def stop(self) -> None:
        """Cancels what runs, ends the daemons, each after those that need it, and cleans."""
        try:
            if self._is_up:
                self.run("scancel", "--user", getpass.getuser())
                wait_until(lambda: not self.run("squeue", "-h"), self.logs, self.logs_folder)
        finally:
            for daemon in reversed(self._daemons):
                daemon.terminate()
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
            shutil.rmtree(self.folder)
