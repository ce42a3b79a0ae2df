"""A search for good settings by Optuna, in which several processes and machines may take part.

All of them start the same command. Trial k trains in OUTPUT/trial-000k; who claims a trial holds a lock on a file in
OUTPUT/.search, as does the run that it starts, so that a trial whose process died is seen, retaken and goes on from its
checkpoint. Machines that share a database but not the folder OUTPUT share the trials, but cannot retake each other's.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from ml_collections import ConfigDict
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments import runs, sweep, table
from experiments.commands import UsageError, fields_of
from experiments.processes import Command
from experiments.sweep.space import Goal, Range, distributions, shown

SAMPLERS = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
SECONDS = 1.0  # between looks at a run


class Search:
    """One process's part in a study."""

    def __init__(
        self,
        output: Path,
        config: ConfigDict,
        ranges: Mapping[str, Range],
        choices: Mapping[str, Sequence],
        goal: Goal,
        sampler: str,
        trials: int,
        storage: str | None = None,
        prune: bool = True,
    ):
        """Opens the study, or makes it.

        Args:
          output: the folder of its trials.
          config: what a trial changes.
          ranges, choices: the fields that it changes.
          goal: what the search is for.
          sampler: a name in SAMPLERS.
          trials: how many the study is to have in all, whoever makes them.
          storage: URL of a database; None for OUTPUT/study.journal.
          prune: whether trials that are worse than the median on the way are stopped.

        Raises:
          UsageError: for what cannot be searched, a database that cannot be opened, or a study of something else.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.output, self.config, self.goal, self.trials, self._sampler = output, config, goal, trials, sampler
        self._distributions = distributions(config, ranges, choices)
        self._values = {path: {shown(value): value for value in own} for path, own in choices.items()}
        self._steps = sum(phase.steps for phase in config.phases.values())
        self._claims: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}
        self._reported: dict[str, set[int]] = {}
        self._pruned: dict[str, str] = {}
        self._looked: dict[str, float] = {}
        (output / ".search").mkdir(parents=True, exist_ok=True)
        with self.alone():
            self.study = optuna.create_study(
                storage=_storage(storage, output),
                study_name=output.resolve().name,
                direction="maximize" if goal.highest else "minimize",
                pruner=optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            self._settle(ranges, choices)

    def _settle(self, ranges, choices):
        """Makes sure that the study is of this search."""
        texts = fields_of(self.config) | {f"search {path}": own for path, own in {**ranges, **choices}.items()}
        texts = {path: repr(value) for path, value in texts.items()} | {"goal": repr(tuple(self.goal))}
        known = self.study.user_attrs.get("search")
        if known is None:
            self.study.set_user_attr("search", texts)
        elif known != texts:
            changed = [
                f"  {path}: {known.get(path, 'absent')} -> {texts.get(path, 'absent')}"
                for path in sorted(known.keys() | texts.keys())
                if known.get(path) != texts.get(path)
            ]
            raise UsageError(
                f"The study {self.study.study_name} is another search; choose another --output. Differences (there -> "
                "here):\n" + "\n".join(changed)
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps the other processes in OUTPUT waiting."""
        with open(self.output / ".search" / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def claims(self, command: Callable[[str, sweep.Overrides], Sequence[str]]) -> Iterator[Command | None]:
        """The trials that are left, as commands; None while others are at the last ones, who might die of them."""
        while True:
            with self.alone():
                trial = self._retaken() or self._new()
            if trial is None:
                if not self._others():
                    return
                yield None
                continue
            name = name_of(trial.number)
            self._trials[name] = trial
            self._reported[name] = set(self.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
            yield Command(name, command(name, self.member(trial.params)), (self._claims[name],))

    def member(self, params: Mapping[str, Any]) -> sweep.Overrides:
        """A trial's values by field."""
        return {path: self._values.get(path, {}).get(value, value) for path, value in params.items()}

    def _retaken(self):
        """A trial whose process has died."""
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            name = name_of(frozen.number)
            if name in self._trials or not (self.output / ".search" / name).exists() or not self._claim(name):
                continue
            trial = Trial(self.study, frozen._trial_id)
            if set(frozen.params) == set(self._distributions):
                return trial
            self._tell(trial, TrialState.FAIL, "Its process died before it had drawn all values.")
            self._release(name)
        return None

    def _new(self):
        number = len(self.study.get_trials(deepcopy=False))
        if number >= self.trials or not self._claim(name_of(number)):
            return None
        self.study.sampler = SAMPLERS[self._sampler](seed=number)  # each trial's draws are its own, whoever makes it
        trial = self.study.ask(self._distributions)
        trial.set_user_attr("host", socket.gethostname())
        if trial.number != number:  # another machine, which does not see OUTPUT, was here in between
            self._release(name_of(number))
            if trial.number >= self.trials or not self._claim(name_of(trial.number)):
                self._tell(trial, TrialState.FAIL, "One trial too many.")
                return None
        return trial

    def _claim(self, name):
        """Whether nobody had it; it is held until `_release`, or until this process and the run of that name end."""
        file = os.open(self.output / ".search" / name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._claims[name] = file
        return True

    def _release(self, name):
        os.close(self._claims.pop(name))

    def _others(self):
        """Trials that another process in this folder is at."""
        names = {name_of(trial.number) for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
        return [name for name in names - set(self._claims) if (self.output / ".search" / name).exists()]

    def stop(self, name: str) -> bool:
        """Whether a trial is to be stopped, from what its run has told since the last look."""
        if name in self._pruned or time.monotonic() - self._looked.get(name, 0) < SECONDS:
            return False
        self._looked[name] = time.monotonic()
        trial = self._trials[name]
        for step, value in self._news(name):
            if trial.should_prune():
                self._pruned[name] = (
                    f"Step {step}: {self.goal.name} {value:.4g} is worse than the median of the others."
                )
                return True
        return False

    def _news(self, name):
        """(step, value) on the way that the study has not been told of, each just after it is."""
        for step, value in sorted(self.goal.on_the_way(self.output / name, self._steps).items()):
            if step not in self._reported[name] and step < self._steps:
                self._reported[name].add(step)
                self._trials[name].report(value, step)
                yield step, value

    def ended(self, name: str, status: int) -> None:
        """Tells the study what became of a trial: a value, pruned, diverged (which counts as pruned) or failed.

        Raises:
          UsageError: if the run came to its end without the value that the search is for.
        """
        trial, workdir = self._trials[name], self.output / name
        try:
            list(self._news(name))  # what came after the last look is what later trials are compared with
            if status == 0:
                self._tell(trial, TrialState.COMPLETE, value=self._value(trial, workdir))
            elif name in self._pruned:
                runs.note_stop(workdir, "pruned", self._pruned[name])
                self._tell(trial, TrialState.PRUNED, "pruned: " + self._pruned[name])
            elif (workdir / runs.STOPPED).is_file():
                note = runs.read_json(workdir / runs.STOPPED)
                self._tell(trial, TrialState.PRUNED, f"{note['reason']}: {note['sentence']}")
            else:
                said = table.log_of(workdir).read_text().strip().splitlines() or ["nothing"]
                self._tell(trial, TrialState.FAIL, f"exit status {status}: {said[-1]}")
        finally:
            del self._trials[name]
            self._release(name)

    def _value(self, trial, workdir):
        try:
            return self.goal.reached(workdir, self._steps)
        except UsageError as error:
            self._tell(trial, TrialState.FAIL, str(error))
            raise

    def _tell(self, trial, state, why="", value=None):
        if why:
            trial.set_user_attr("why", why)
        self.study.tell(trial, value, state)

    def best(self) -> FrozenTrial | None:
        """The best trial that came to its end."""
        whole = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return min(whole, key=self._rank) if whole else None

    def _rank(self, trial):
        if trial.state != TrialState.COMPLETE:
            return float("inf")
        return -trial.value if self.goal.highest else trial.value

    def markdown(self) -> str:
        """All trials, the best first, with their values of the searched fields."""
        fields = list(self._distributions)
        lines = [
            f"{len(self.study.get_trials(deepcopy=False))} trials, one run each; {self.goal.name}, the "
            f"{'highest' if self.goal.highest else 'lowest'} first.",
            "",
            "| " + " | ".join(["trial", "state", self.goal.name, *fields]) + " |",
            "|" + " --- |" * (3 + len(fields)),
        ]
        for trial in sorted(self.study.get_trials(deepcopy=False), key=self._rank):
            value = f"{trial.value:.6g}" if trial.state == TrialState.COMPLETE else "–"
            why = trial.user_attrs.get("why", "")
            state = trial.state.name.lower() + (f" ({why})" if why else "")
            settings = [_written(trial.params.get(path, "–")) for path in fields]
            lines.append("| " + " | ".join(map(table.escaped, [name_of(trial.number), state, value, *settings])) + " |")
        return "\n".join(lines) + "\n"


def name_of(number: int) -> str:
    """A trial's folder."""
    return f"trial-{number:04}"


def _written(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _storage(url, output):
    if url is None:
        return optuna.storages.JournalStorage(JournalFileBackend(str(output / "study.journal")))
    try:
        return optuna.storages.RDBStorage(url)
    except Exception as error:  # of SQLAlchemy, or of whichever driver the URL names
        raise UsageError(f"--storage={url} cannot be opened: {str(error).splitlines()[0]}") from error
