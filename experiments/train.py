"""The training loop."""

import contextlib
import functools
import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiments import data, figures, graph, hosts, logs, rehearsal, runs, scoring
from experiments.checkpoints import Checkpoints, set_aside, steps
from experiments.commands import UsageError, fitting
from experiments.interrupts import Interrupted, Interrupts
from experiments.sentinel import Collapsed, Sentinel
from gans import parallel
from gans.core import Gan, State

ROLLBACKS = "rollbacks.json"


def keep_bits(config: ConfigDict, environment: MutableMapping[str, str]) -> None:
    """Asks XLA for what `config.deterministic` says, in the environment that it reads when it first compiles."""
    if config.deterministic:
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def train(config: ConfigDict, workdir: Path, init_from: Path | None = None) -> str:
    """Trains a run to its end, going on from the workdir's newest whole checkpoint if there is one.

    Args:
      config: as the files in experiments/configs return it.
      workdir: the run's folder; made if it does not exist.
      init_from: workdir of another run whose players a new run starts with.

    Returns:
      A table of the final scores, to be printed; of several processes only the first has it, and writes.

    Raises:
      UsageError: before any work, for a config or workdir that cannot be right.
      logs.Diverged: if a metric or a parameter is not finite any more, more often than the config's rollbacks.
      sentinel.Collapsed: likewise, if the players are out of balance and the config asks to stop then.
      Interrupted: after SIGTERM or SIGINT, when a checkpoint is written.
    """
    with fitting("The config cannot be used"):
        rehearsal.check(config)
        gan = runs.build(config)
        jax.eval_shape(lambda: runs.initial(config, gan))  # refuses what does not fit, at no cost
    hosts.check_same("a config", json.dumps(config.to_dict(), default=str))
    if hosts.first():
        runs.claim_workdir(workdir, config)

    # Read the data, and what judges: it learns from all of the training split.
    splits = data.read(config)
    rehearsal.check_pictures(config, splits["train"])
    sizes = {split: {name: len(array) for name, array in arrays.items()} for split, arrays in splits.items()}
    hosts.check_same("data", sizes)
    with hosts.first_before_others():
        frozen, record = scoring.frozen_networks(config, splits["train"])
    hosts.check_same("frozen networks", {name: entry["sha256"] for name, entry in record.items()})
    splits = data.hold_out(config, splits)
    rehearsal.check_steps(config, gan, splits["train"], frozen)
    if hosts.first():
        check_best(workdir, config, gan, frozen, record, splits)
        runs.record_run(workdir, config, record)
    hosts.check_shared(workdir)
    with runs.alone_in(workdir) if hosts.first() else contextlib.nullcontext():
        if hosts.first():
            runs.forget_stop(workdir)
        state = None
        while state is None:
            try:
                state = _on_to_the_end(config, workdir, gan, splits, frozen, record, init_from)
            except (logs.Diverged, Collapsed) as error:
                hosts.by_first(lambda error=error: roll_back(config, workdir, error))
    if not hosts.first():
        return ""
    return scoring.report(workdir, config, gan, state, record, splits["test"]) + best_so_far(config, workdir)


def validation(splits: Mapping[str, data.Arrays]) -> tuple[data.Arrays, str]:
    """What scores on the way are taken on, and the split's name: the validation split where there is one."""
    name = "validation" if "validation" in splits else "test"
    return splits[name], name


def check_best(workdir: Path, config: ConfigDict, gan: Gan, frozen: Any, record: Mapping, splits: Mapping) -> None:
    """Refuses a best score that a new run will not have; what it will have is what its untrained networks have.

    Raises:
      UsageError: with the names that there are.
    """
    if not config.best.score or runs.score_history(workdir):
        return
    scores = scoring.scores(config, gan, runs.initial(config, gan, frozen), record, *validation(splits))
    if config.best.score not in scores:
        raise UsageError(f"best.score={config.best.score!r} is none of this run's scores: {', '.join(sorted(scores))}.")


def best_so_far(config: ConfigDict, workdir: Path) -> str:
    """A line that names the checkpoint that is best by the config's score; empty without one."""
    step = runs.best_step(workdir, config, steps(workdir / "checkpoints"))
    if step is None:
        return ""
    value = runs.score_history(workdir)[config.best.score][str(step)]
    return f"\n    best: step {step} by {config.best.score} = {value:.4f} of the validation split; --best takes it"


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
    found = newest(workdir, config, gan)
    order = hosts.from_first(len(rollbacks(workdir)))
    if found is None:
        step, state = 0, runs.initial(config, gan)
        if init_from is not None:
            state = with_players_of(state, init_from)
    else:
        step, state = found
        hosts.tell(f"Going on from step {step} of {workdir}.")
    state = parallel.replicate(state).replace(frozen=parallel.replicate(frozen))

    # Train phase by phase.
    total = sum(config.phases[phase].steps for phase in gan.phases)
    with (
        Interrupts() as interrupts,
        logs.Logs(workdir, step, total, config.log_every, watching(config), hosts.first()) as log,
        writer(workdir, config, found and step) as checkpoints,
    ):
        if found is None:
            log.text("config", json.dumps(config.to_dict(), indent=2))
            log.graph(graph.tensorboard(gan))
        examples = scoring.examples(config, splits["test"])

        def score(state):
            return scoring.scores(config, gan, state, record, *validation(splits))

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
                    order=order,
                )
                state = loop.run(state, batches, step, end)
                step = end
            start = end
    return state


def newest(workdir: Path, config: ConfigDict, gan: Gan) -> tuple[int, State] | None:
    """What `runs.restore` finds, at every process what process 0 does.

    Raises:
      UsageError: if a process cannot read what process 0 goes on from.
    """
    found = runs.restore(workdir, config, gan) if hosts.first() else None
    step = hosts.from_first(found and found[0])
    if step is None or hosts.first():
        return found
    found = runs.restore(workdir, config, gan, last=step)
    if found is None or found[0] != step:
        raise UsageError(f"The checkpoint of step {step} in {workdir}, which process 0 has read, is not whole here.")
    return found


def writer(workdir: Path, config: ConfigDict, step: int | None) -> contextlib.AbstractContextManager:
    """The run's `Checkpoints` from `step` on; None, for the processes that write none."""
    if not hosts.first():
        return contextlib.nullcontext()
    best = functools.partial(runs.best_step, workdir, config)
    return Checkpoints(workdir / "checkpoints", step, config.keep_checkpoints, config.keep_every, best)


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


def check_finite(step: int, state: State) -> None:
    """Raises Diverged with the player that is not finite, if one is not."""
    for name, finite in finite_players(state.players).items():
        if not finite:
            raise logs.Diverged(f"Step {step}: the {name}'s parameters or optimizer state are not finite.")


class Loop:
    """One phase's steps, with what happens between them."""

    def __init__(self, config, workdir, gan, phase, log, checkpoints, interrupts, examples, score):
        self.score = score
        self.config, self.workdir, self.gan, self.phase = config, workdir, gan, phase
        self.log, self.checkpoints, self.interrupts, self.examples = log, checkpoints, interrupts, examples
        step = gan.phases[phase].step
        step = step if config.steps_per_dispatch == 1 else parallel.scan_steps(step)
        self.step = parallel.data_parallel(hosts.hearing(step, runs.AXIS) if hosts.several() else step)
        self.key = runs.run_key(config)
        self.heard = None

    def run(self, state: State, batches, step: int, end: int) -> State:
        """The state at step `end`. Metrics are fetched one dispatch late, so that the device never waits for them."""
        pending = None
        while step < end:
            state, metrics = self.step(state, hosts.telling(next(batches), self.interrupts.number), self.key)
            step += self.config.steps_per_dispatch
            if pending:
                self.take(*pending)
            pending = step, metrics
            stop = self.heard if hosts.several() else self.interrupts.number
            saving = stop or step == end or step % self.config.checkpoint_every == 0
            if saving:
                self.take(*pending)
                pending = None
                check_finite(step, state)
            # Before the step is saved: else a kill in between would leave it without them for good.
            self.look(step, state, end)
            if saving and hosts.first():
                self.checkpoints.save(step, state.replace(frozen=None), {"phase": self.phase})
            if stop:
                if hosts.first():
                    self.checkpoints.wait()
                raise Interrupted(stop)
        return state

    def look(self, step: int, state: State, end: int) -> None:
        """Draws and scores what is due at a step of a phase that ends at step `end`."""
        if step % self.config.sample_every == 0:
            hosts.by_first(lambda: self.draw(step, state))
        every = self.config.score_every
        if every and step % every == 0 and (step < end or self.config.data.validation):
            hosts.by_first(lambda: self.keep_scores(step, state))

    def take(self, step: int, metrics) -> None:
        """Logs the metrics of a dispatch, and hears what signal has reached any host: all do at the same step."""
        metrics = dict(metrics)
        self.heard = int(metrics.pop(hosts.SIGNAL, 0)) or None
        self.log.metrics(step, metrics)

    def keep_scores(self, step: int, state: State) -> None:
        new = self.score(state)
        scoring.write_history(self.workdir, new)
        self.log.scores(step, {name: entry["value"] for name, entry in new.items()})

    def draw(self, step: int, state: State) -> None:
        picture = scoring.sample_rows(self.config, self.gan, state, self.examples)
        figures.write(self.workdir / "samples" / f"step-{step:07d}.png", picture)
        self.log.picture("samples", picture, step)
