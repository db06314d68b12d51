"""A Slurm of one node on this machine, with everything it writes in one directory.

Needs root and Debian's packages slurm-wlm and munge (``tools/install_slurm.sh``);
touches no Slurm that the machine may have besides.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
CONFIG = """\
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job that is queued again waits for as long as credentials last: seconds.
AuthInfo=socket={root}/munge.socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
# No cgroups, no systemd.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
MaxArraySize=10
KillWait=2
MinJobAge=10
NodeName={node} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Return what a Slurm of its own would need; empty where this machine has it."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [x for x in DAEMONS if shutil.which(x, path=_path()) is None]
    return f"lacks {' '.join(lacking)}: run tools/install_slurm.sh" if lacking else ""


class Cluster:
    """Daemons and commands of a Slurm in a directory."""

    def __init__(self, root: Path):
        self.root = root
        self.node = socket.gethostname().split(".")[0]
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SLURM_")},
            "PATH": _path(),
            "SLURM_CONF": str(root / "slurm.conf"),
        }
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start the daemons and wait until the node can be used."""
        for name in ("state", "spool"):
            (self.root / name).mkdir()
        key = self.root / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        (self.root / "slurm.conf").write_text(
            CONFIG.format(root=self.root, node=self.node, ports=_free_ports(2))
        )
        self._daemon(
            *("munged", "--foreground", "--force", f"--key-file={key}"),
            *(
                f"--socket={self.root}/munge.socket",
                f"--pid-file={self.root}/munge.pid",
            ),
            *(f"--log-file={self.root}/munged.log", f"--seed-file={self.root}/seed"),
        )
        self._wait((self.root / "munge.socket").exists, "munged does not start")
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D", "-N", self.node)
        self._wait(lambda: self.state() == "idle", "the node does not come up")

    def stop(self) -> None:
        """End all jobs and the daemons."""
        if not self._daemons:
            return
        with contextlib.suppress(subprocess.CalledProcessError):  # was not drained
            self.call("scontrol", "update", f"nodename={self.node}", "state=resume")
        self.call("scancel", "--user=root", "--signal=KILL", "--full")
        self.call("scancel", "--user=root")
        self._wait(lambda: not self.jobs(), "jobs do not end")
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(timeout=30)

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands and return what it prints."""
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout

    def state(self) -> str:
        """Return the node's state, such as ``idle``."""
        try:
            return self.call("sinfo", "--noheader", "--format=%T").strip()
        except subprocess.CalledProcessError:
            return "unknown"  # not up yet

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Return state and reason of each job that has not ended."""
        lines = self.call("squeue", "--noheader", "--array", "--format=%i|%T|%r")
        rows = [line.strip().split("|") for line in lines.splitlines()]
        return {job: (state, reason) for job, state, reason in rows}

    def _daemon(self, *command: str) -> None:
        with (self.root / "daemons.log").open("a") as log:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait(self, is_so, complaint: str) -> None:
        deadline = time.monotonic() + 60
        while not is_so():
            if time.monotonic() > deadline or any(d.poll() for d in self._daemons):
                logs = sorted(self.root.glob("*.log"))
                ends = [log.read_text(errors="replace")[-1500:] for log in logs]
                raise RuntimeError("\n".join([complaint, *ends]))
            time.sleep(0.1)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SBIN}"


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
