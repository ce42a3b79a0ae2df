"""A run that is trained beside others in one program."""

import contextlib
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from experiments import data, graph, logs, runs, scoring, table, train
from experiments.checkpoints import Unsaved
from experiments.commands import UsageError
from experiments.sentinel import Collapsed
from gans.core import Gan, State


class Common(NamedTuple):
    """What the members share.

    gan:      as a run of its own builds it; the numbers of its optimizers are not used.
    splits:   the data.
    frozen:   the judges, and `record` of their files.
    examples: what the figures show.
    """

    gan: Gan
    splits: Mapping[str, data.Arrays]
    frozen: Mapping[str, Any]
    record: Mapping[str, Mapping[str, str]]
    examples: data.Arrays


class Place(NamedTuple):
    """A phase, its number, and the steps at which it starts and ends."""

    phase: str
    index: int
    start: int
    end: int


class Member:
    """A run's workdir, what it writes there and says, and where it stands; a context manager.

    step, state: of the last checkpoint, or of the start; the state is that of a run of its own, without `frozen`.
    failed:      whether it diverged, collapsed or broke for good; its log says how.
    """

    def __init__(self, config: ConfigDict, workdir: Path, common: Common):
        self.config, self.workdir, self._common = config, workdir, common
        self.step, self.state = 0, None
        self.failed = self._scored = False
        self._steps = sum(config.phases[phase].steps for phase in common.gan.phases)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            runs.record_run(self.workdir, self.config, self._common.record)
            stack.enter_context(runs.alone_in(self.workdir))
            runs.forget_stop(self.workdir)
            self._said = stack.enter_context(open(table.log_of(self.workdir), "w", buffering=1))
            self._stack = stack.pop_all()
        self._run = contextlib.ExitStack()
        self.attempt(self._open)
        return self

    def __exit__(self, *exception):
        self.attempt(self._run.close)
        self._stack.close()

    @property
    def running(self) -> bool:
        """Whether there are steps to be taken."""
        return not self.failed and self.step < self._steps

    def attempt(self, work: Callable[[], object]) -> bool:
        """Whether the work went well. If not, the member has failed, or gone back to a checkpoint as its config says.

        What the work prints stands in the member's log.
        """
        with contextlib.redirect_stdout(self._said):
            try:
                work()
            except Exception as error:  # as in processes of their own, what breaks one run does not end the others
                self.failed = not self._goes_back(error)
                return False
            return True

    def _goes_back(self, error):
        try:
            self._run.close()
            if not isinstance(error, logs.Diverged | Collapsed):
                raise error
            train.roll_back(self.config, self.workdir, error)
            self._open()
        except (logs.Diverged, Collapsed, Unsaved, UsageError) as final:
            print(f"error: {final} The last good checkpoint is kept in {self.workdir / 'checkpoints'}.")
        except Exception:
            traceback.print_exc(file=self._said)
        else:
            return True
        return False

    def _open(self):
        """Goes to the newest whole checkpoint, or to the start."""
        config, gan = self.config, self._common.gan
        found = runs.restore(self.workdir, config, gan)
        self.step, self.state = found or (0, runs.initial(config, gan))
        if found:
            print(f"Going on from step {self.step} of {self.workdir}.")
        with contextlib.ExitStack() as stack:
            self._log = stack.enter_context(
                logs.Logs(self.workdir, self.step, self._steps, config.log_every, train.watching(config), bar=False)
            )
            self._checkpoints = stack.enter_context(train.writer(self.workdir, config, found and self.step))
            self._run = stack.pop_all()
        if not found:
            self._log.text("config", json.dumps(config.to_dict(), indent=2))
            self._log.graph(graph.tensorboard(gan))

    def place(self) -> Place:
        """The phase in which the next step lies."""
        start = 0
        for index, phase in enumerate(self._common.gan.phases):
            end = start + self.config.phases[phase].steps
            if self.step < end:
                return Place(phase, index, start, end)
            start = end
        raise ValueError(f"{self.workdir} is at its end.")

    def entered(self) -> State:
        """The state with which the next step is taken."""
        place = self.place()
        return train.enter(self._common.gan, place.phase, self.state) if self.step == place.start else self.state

    def batches(self) -> Iterator[dict]:
        """The batches of the next steps, as for one device."""
        place, gan = self.place(), self._common.gan
        batches = data.train_batches(
            self.config,
            self._common.splits["train"],
            phase=place.index,
            start=self.step - place.start,
            slices=gan.phases[place.phase].slices,
            order=len(train.rollbacks(self.workdir)),
            devices=1,
        )
        return (jax.tree.map(lambda leaf: leaf[0], batch) for batch in batches)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """As `logs.Logs.metrics`."""
        self._log.metrics(step, metrics)

    def visit(self, step: int, state: State, save: bool) -> None:
        """A checkpoint, if it is to be saved, and the pictures and scores that are due.

        Raises:
          logs.Diverged: if the state is not finite.
          Unsaved: if the checkpoint before it could not be written.
        """
        common, config, place = self._common, self.config, self.place()
        whole = state.replace(frozen=common.frozen)

        def score(state):
            return scoring.scores(config, common.gan, state, common.record, *train.validation(common.splits))

        examples = common.examples
        loop = train.Loop(
            config, self.workdir, common.gan, place.phase, self._log, self._checkpoints, None, examples, score
        )
        if save:
            train.check_finite(step, whole)
        loop.look(step, whole, place.end)
        if save:
            self._checkpoints.save(step, state, {"phase": place.phase})
            self.step, self.state = step, state

    def wait(self) -> None:
        """Returns when the last checkpoint is on disk."""
        self._checkpoints.wait()

    def finish(self) -> None:
        """Scores the member, once, if it has come to its end."""
        if not (self.running or self.failed or self._scored):
            self._scored = True
            self.attempt(self._score)

    def _score(self):
        self._run.close()
        common, whole = self._common, self.state.replace(frozen=self._common.frozen)
        text = scoring.report(self.workdir, self.config, common.gan, whole, common.record, common.splits["test"])
        print(text + train.best_so_far(self.config, self.workdir))
        self.state = None
