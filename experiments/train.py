"""The training loop."""

import json
import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import data, figures, graph, logs, runs, scoring
from experiments.checkpoints import Checkpoints, set_aside
from experiments.commands import UsageError
from experiments.sentinel import Collapsed, Sentinel
from gans import parallel
from gans.core import State

ROLLBACKS = "rollbacks.json"


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


def train(config: ConfigDict, workdir: Path, init_from: Path | None = None) -> str:
    """Trains a run to its end, going on from the workdir's newest whole checkpoint if there is one.

    Args:
      config: as the files in experiments/configs return it.
      workdir: the run's folder; made if it does not exist.
      init_from: workdir of another run whose players a new run starts with.

    Returns:
      A table of the final scores, to be printed.

    Raises:
      UsageError: before any work, for a config or workdir that cannot be right.
      logs.Diverged: if a metric or a parameter is not finite any more, more often than the config's rollbacks.
      sentinel.Collapsed: likewise, if the players are out of balance and the config asks to stop then.
      Interrupted: after SIGTERM or SIGINT, when a checkpoint is written.
    """
    check(config)
    gan = runs.build(config)
    jax.eval_shape(lambda: runs.initial(config, gan))  # refuses what does not fit, at no cost
    runs.claim_workdir(workdir, config)

    # Read the data, and what judges.
    splits = data.read(config)
    frozen, record = scoring.frozen_networks(config, splits["train"])
    runs.record_run(workdir, config, record)
    with runs.alone_in(workdir):
        runs.forget_stop(workdir)
        state = None
        while state is None:
            try:
                state = _on_to_the_end(config, workdir, gan, splits, frozen, record, init_from)
            except (logs.Diverged, Collapsed) as error:
                roll_back(config, workdir, error)
    return scoring.report(workdir, config, gan, state, record, splits["test"])


def roll_back(config: ConfigDict, workdir: Path, error: logs.Diverged | Collapsed) -> None:
    """Notes that the run goes on from the newest checkpoint before the fault, with another order of its examples.

    Raises:
      Diverged, Collapsed: the error itself, if the config's rollbacks are used up.
    """
    done = rollbacks(workdir)
    if len(done) >= config.rollbacks:
        runs.note_stop(workdir, "collapsed" if isinstance(error, Collapsed) else "diverged", str(error))
        raise error
    if isinstance(error, Collapsed):
        set_aside(workdir / "checkpoints", error.began)
    runs.write_json(workdir / ROLLBACKS, [*done, str(error)])
    print(f"{error} The run goes back and on with another order of examples ({len(done) + 1} of {config.rollbacks}).")


def rollbacks(workdir: Path) -> list[str]:
    """Why the run went back, each time that it did."""
    return runs.read_json(workdir / ROLLBACKS) if (workdir / ROLLBACKS).is_file() else []


def _on_to_the_end(config, workdir, gan, splits, frozen, record, init_from):
    """The state at the end of the last phase, from wherever the workdir's newest checkpoint stands."""
    # Find where to go on.
    found = runs.restore(workdir, config, gan)
    if found is None:
        step, state = 0, runs.initial(config, gan)
        if init_from is not None:
            state = with_players_of(state, init_from)
    else:
        step, state = found
        print(f"Going on from step {step} of {workdir}.")
    state = parallel.replicate(state).replace(frozen=parallel.replicate(frozen))

    # Train phase by phase.
    total = sum(config.phases[phase].steps for phase in gan.phases)
    with (
        Interrupts() as interrupts,
        logs.Logs(workdir, step, total, config.log_every, watching(config)) as log,
        Checkpoints(workdir / "checkpoints", found and step, config.keep_checkpoints, config.keep_every) as checkpoints,
    ):
        if found is None:
            log.text("config", json.dumps(config.to_dict(), indent=2))
            log.graph(graph.tensorboard(gan))
        examples = scoring.examples(config, splits["test"])

        def score(state):
            return scoring.scores(config, gan, state, record, splits["test"])

        start = 0
        for index, phase in enumerate(gan.phases):
            end = start + config.phases[phase].steps
            if step < end:
                if step == start:
                    state = enter(gan, phase, state)
                loop = Loop(config, workdir, gan, phase, log, checkpoints, interrupts, examples, score)
                batches = data.train_batches(
                    config,
                    splits["train"],
                    phase=index,
                    start=step - start,
                    slices=gan.phases[phase].slices,
                    order=len(rollbacks(workdir)),
                )
                state = loop.run(state, batches, step, end)
                step = end
            start = end
    return state


def check(config: ConfigDict) -> None:
    """Refuses, before any work, lengths and cadences that do not fit together, and maps that do not exist."""
    data.maps(config, config.data.maps + config.data.evaluation_maps)
    devices = jax.device_count()
    if config.batch_size % (devices * config.accumulate):
        raise UsageError(
            f"batch_size={config.batch_size} cannot be shared by {devices} devices"
            + (f" in {config.accumulate} micro-batches each." if config.accumulate > 1 else ".")
        )
    lengths = {f"phases.{name}.steps": phase.steps for name, phase in config.phases.items()}
    if not any(lengths.values()):
        raise UsageError("No phase has any steps; set one of " + ", ".join(f"config.{name}" for name in lengths) + ".")
    cadences = {name: value for name, value in lengths.items() if value != 0}
    cadences |= {name: config[name] for name in ("log_every", "checkpoint_every", "sample_every")}
    if config.score_every:
        cadences["score_every"] = config.score_every
    for name, value in cadences.items():
        if value < 1 or value % config.steps_per_dispatch:
            raise UsageError(f"{name}={value} must be a positive multiple of {config.steps_per_dispatch=}.")
    if config.keep_every < 0 or config.keep_every % config.checkpoint_every:
        raise UsageError(f"keep_every={config.keep_every} must be 0 or a multiple of {config.checkpoint_every=}.")


def watching(config: ConfigDict) -> Sentinel | None:
    """The sentinel that the config asks for."""
    return Sentinel(config.collapse, config.log_every) if "collapse" in config else None


def enter(gan, phase: str, state: State) -> State:
    """The state at the start of a phase."""
    frozen = state.frozen
    return jax.jit(gan.phases[phase].enter)(state.replace(frozen=None)).replace(frozen=frozen)


def with_players_of(state: State, workdir: Path) -> State:
    """A new state with the params, stats and averages of another run's players.

    Raises:
      UsageError: if the other run's players do not have the shapes of this one's.
    """
    _, other = runs.load(workdir)
    players = dict(state.players)
    for name in players.keys() & other.players.keys():
        mine, theirs = players[name], other.players[name]
        taken = mine.replace(params=theirs.params, stats=theirs.stats, average=theirs.average)
        if jax.tree.map(jnp.shape, taken) != jax.tree.map(jnp.shape, mine):
            raise UsageError(f"--init_from={workdir}: its {name} is another network than this config's.")
        players[name] = taken
    return state.replace(players=players)


@jax.jit
def finite_players(players: Any) -> dict[str, jax.Array]:
    """{name: whether everything of the player is finite}."""
    leaves = {name: jax.tree.leaves(player) for name, player in players.items()}
    return {name: jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in own])) for name, own in leaves.items()}


class Loop:
    """One phase's steps, with what happens between them."""

    def __init__(self, config, workdir, gan, phase, log, checkpoints, interrupts, examples, score):
        self.score = score
        self.config, self.workdir, self.gan, self.phase = config, workdir, gan, phase
        self.log, self.checkpoints, self.interrupts, self.examples = log, checkpoints, interrupts, examples
        step = gan.phases[phase].step
        self.step = parallel.data_parallel(step if config.steps_per_dispatch == 1 else parallel.scan_steps(step))
        self.key = runs.run_key(config)

    def run(self, state: State, batches, step: int, end: int) -> State:
        """The state at step `end`. Metrics are fetched one dispatch late, so that the device never waits for them."""
        pending = None
        while step < end:
            state, metrics = self.step(state, next(batches), self.key)
            step += self.config.steps_per_dispatch
            if pending:
                self.log.metrics(*pending)
            pending = step, metrics
            stop = self.interrupts.number
            if stop or step == end or step % self.config.checkpoint_every == 0:
                self.log.metrics(*pending)
                pending = None
                self.save(step, state)
            if stop:
                self.checkpoints.wait()
                raise Interrupted(stop)
            if step % self.config.sample_every == 0:
                self.draw(step, state)
            if self.config.score_every and step % self.config.score_every == 0 and step < end:
                self.keep_scores(step, state)
        return state

    def save(self, step: int, state: State) -> None:
        for name, finite in finite_players(state.players).items():
            if not finite:
                raise logs.Diverged(f"Step {step}: the {name}'s parameters or optimizer state are not finite.")
        self.checkpoints.save(step, state.replace(frozen=None), {"phase": self.phase})

    def keep_scores(self, step: int, state: State) -> None:
        new = self.score(state)
        scoring.write_history(self.workdir, new)
        self.log.scores(step, {name: entry["value"] for name, entry in new.items()})

    def draw(self, step: int, state: State) -> None:
        picture = scoring.sample_rows(self.config, self.gan, state, self.examples)
        figures.write(self.workdir / "samples" / f"step-{step:07d}.png", picture)
        self.log.picture("samples", picture, step)
