"""What a node of a cluster does for one run; it is unpickled there."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from submitit.helpers import DelayedSubmission


class Job:
    """What a node does for one run: `command`, whose words go into the file `log`. Returns its exit status."""

    def __init__(self, command: Sequence[str], log: Path):
        self.command, self.log = command, log
        self._process = None

    def __call__(self) -> int:
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # which the run inherits: that signal is for submitit
        try:
            with open(self.log, "a") as file:
                self._process = subprocess.Popen(self.command, stdout=file, stderr=subprocess.STDOUT)
        finally:
            signal.signal(signal.SIGUSR2, before)
        try:
            while self._process.poll() is None:
                time.sleep(0.2)
        finally:
            self._process.terminate()
        return self._process.returncode

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit when the job is about to be cut off; returns what is queued in its place."""
        os.kill(self._process.pid, signal.SIGTERM)
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)  # poll() may be what was interrupted
        return DelayedSubmission(Job(self.command, self.log))
