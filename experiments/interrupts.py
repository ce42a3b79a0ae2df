"""Signals that ask a program to stop."""

import signal


class Interrupted(Exception):
    """The run was asked to stop by a signal and has written a checkpoint; `status` is its exit status."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.status = 128 + signal_number


class Interrupts:
    """Notes SIGTERM and SIGINT instead of dying of them; a second one is not held back. A context manager."""

    def __enter__(self):
        self.number = None
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number, frame):
        del frame
        self.number = number
        self._restore()

    def _restore(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, *exception):
        self._restore()
