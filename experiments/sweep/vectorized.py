"""Members of a sweep that differ in numbers alone, trained at once by one program, see `gans.parallel.population`.

Each has an ordinary workdir, with the checkpoints that a run of its own would write. Members that stand at different
steps, because one was stopped at another moment or went back, are brought to the same one first.
"""

import contextlib
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import data, logs, optimizers, rehearsal, runs, scoring, train
from experiments.commands import fields_of, fitting
from experiments.sweep.member import Common, Member
from gans import parallel
from gans.core import State

InState = dict[str, dict[str, tuple[str, ...]]]  # {phase: {player: numbers of its optimizer that members differ in}}


def traced(config: ConfigDict) -> dict[str, float]:
    """The fields, by dotted path, that may differ between the members of a population: what is a number to a program.

    The seed, the coefficients that are not None, and the optimizers' numbers except counts of updates.
    """
    fields = {path: value for path, value in fields_of(config).items() if isinstance(value, int | float)}
    return {
        path: value
        for path, value in fields.items()
        if path == "seed"
        or (path.startswith("coefficients.") and not isinstance(value, bool))
        or (path.startswith("optimizers.") and isinstance(value, float))
    }


def groups(configs: Mapping[str, ConfigDict]) -> list[list[str]]:
    """The names of the members, those together that can be trained as a population."""
    found = {}
    for name, config in configs.items():
        numbers = traced(config)
        static = {path: value for path, value in fields_of(config).items() if path not in numbers}
        found.setdefault(repr((sorted(static.items(), key=str), sorted(numbers))), []).append(name)
    return list(found.values())


def differing(configs: Sequence[ConfigDict]) -> InState:
    """The optimizers' numbers in which these members of a population differ."""
    fields = [traced(config) for config in configs]
    return {
        phase: {
            player: tuple(
                name for name in settings if len({own.get(f"optimizers.{phase}.{player}.{name}") for own in fields}) > 1
            )
            for player, settings in players.items()
        }
        for phase, players in configs[0].optimizers.items()
    }


def with_numbers(state: State, config: ConfigDict, phase: str, names: Mapping[str, Sequence[str]]) -> State:
    """A run's state with the optimizers' numbers `names`, of its config, in it; see `optimizers.make`."""
    players = dict(state.players)
    for player, settings in config.optimizers[phase].items():
        if names.get(player):
            carrying = optimizers.make(settings, config.phases[phase].steps, names[player])
            empty = carrying.init(players[player].params)
            players[player] = players[player].replace(opt_state=empty._replace(inner_state=players[player].opt_state))
    return state.replace(players=players)


def without_numbers(state: State, names: Mapping[str, Sequence[str]]) -> State:
    """The inverse of `with_numbers`: the state as a run of its own has it."""
    players = {
        name: player.replace(opt_state=player.opt_state.inner_state) if names.get(name) else player
        for name, player in state.players.items()
    }
    return state.replace(players=players)


def train_members(configs: Mapping[str, ConfigDict], output: Path) -> list[str]:
    """Trains members to their ends, going on from where each stands.

    Args:
      configs: of a group of `groups`, by the members' names.
      output: where each has its workdir, OUTPUT/NAME, and says what it says, OUTPUT/NAME.log.

    Returns:
      The names of those that diverged, collapsed or broke, which did not stop the others.

    Raises:
      UsageError: before any work, for a config or workdir that cannot be right.
      train.Interrupted: after SIGTERM or SIGINT, when each has written a checkpoint.
    """
    first = next(iter(configs.values()))
    for name, config in configs.items():
        with fitting(f"The config of {name} cannot be used"):
            rehearsal.check(config)
        runs.claim_workdir(output / name, config)
    splits = data.read(first)
    rehearsal.check_pictures(first, splits["train"])
    frozen, record = scoring.frozen_networks(first, splits["train"])
    splits, gan = data.hold_out(first, splits), runs.build(first)
    rehearsal.check_steps(first, gan, splits["train"], frozen)
    for name, config in configs.items():
        train.check_best(output / name, config, gan, frozen, record, splits)
    common = Common(gan, splits, frozen, record, scoring.examples(first, splits["test"]))
    with contextlib.ExitStack() as stack, train.Interrupts() as interrupts:
        members = [stack.enter_context(Member(config, output / name, common)) for name, config in configs.items()]
        population = _Population(members, first, frozen, interrupts)
        while True:
            for member in members:
                population.stop_if_asked()
                member.finish()
            running = [member for member in members if member.running]
            if not running:
                break
            # Those at the earliest step go on, at most to where the next ones stand.
            at = min(member.step for member in running)
            later = [member.step for member in running if member.step > at]
            population.train([member for member in running if member.step == at], min(later, default=None))
    return [member.workdir.name for member in members if member.failed]


class _Population:
    """The program that trains members which stand at one step."""

    def __init__(self, members, config, frozen, interrupts):
        self._config, self._frozen, self._interrupts = config, frozen, interrupts
        self._in_state = differing([member.config for member in members])
        self._gan = runs.build(config, None, self._in_state)

    def stop_if_asked(self) -> None:
        if self._interrupts.number:
            raise train.Interrupted(self._interrupts.number)

    @functools.cache  # noqa: B019 (as long-lived as the process)
    def _step(self, phase, devices):
        step = self._gan.phases[phase].step
        step = step if self._config.steps_per_dispatch == 1 else parallel.scan_steps(step)
        return parallel.member_parallel(parallel.population(step), devices)

    def train(self, members: Sequence[Member], end: int | None) -> None:
        """Trains members to the end of their phase, at most to step `end`, or to a checkpoint before which one left."""
        config, at, place = self._config, members[0].step, members[0].place()
        end = place.end if end is None else min(end, place.end)
        # Where the members cannot be dealt out evenly, the last one is trained more than once.
        devices = tuple(jax.local_devices()[: len(members)])
        lanes = [*members, *[members[-1]] * (-len(members) % len(devices))]
        names = self._in_state.get(place.phase, {})
        state = parallel.stack([with_numbers(lane.entered(), lane.config, place.phase, names) for lane in lanes])
        state = state.replace(frozen=parallel.replicate(self._frozen, devices))
        keys = jnp.stack([runs.run_key(lane.config) for lane in lanes])
        step, batches = self._step(place.phase, devices), _stacked([member.batches() for member in members], len(lanes))
        present, pending = dict(enumerate(members)), None
        with logs.progress_bar(total=end, initial=at, desc=f"{len(members)} members") as bar:
            while at < end and present:
                state, metrics = step(state, next(batches), keys)
                at += config.steps_per_dispatch
                bar.update(config.steps_per_dispatch)
                # Metrics are fetched one dispatch late, so that the device never waits for them.
                if pending:
                    _tell(present, *pending)
                pending = at, metrics
                stop = self._interrupts.number
                save = bool(stop) or at == end or at % config.checkpoint_every == 0
                if save:
                    _tell(present, *pending)
                    pending = None
                if save or at % config.sample_every == 0 or (config.score_every and at % config.score_every == 0):
                    _visit(present, at, without_numbers(jax.device_get(state.replace(frozen=None)), names), save)
                if stop:
                    _each(present, lambda index, member: member.wait())
                    raise train.Interrupted(stop)
                if save and len(present) < len(members):
                    break


def _stacked(iterators, lanes):
    """Batches of the members as one, leaves [lanes, ...]; those of the last fill up."""
    for batches in zip(*iterators, strict=True):
        yield jax.tree.map(lambda *leaves: np.stack(leaves), *batches, *[batches[-1]] * (lanes - len(batches)))


def _each(present, work):
    """work(index, member) for each member that is present; who fails or goes back leaves."""
    for index, member in list(present.items()):
        if not member.attempt(functools.partial(work, index, member)):
            del present[index]


def _tell(present, step, metrics):
    metrics = jax.device_get(metrics)
    _each(present, lambda index, member: member.log(step, {name: values[index] for name, values in metrics.items()}))


def _visit(present, step, population, save):
    def visit(index, member):
        state = jax.device_put(parallel.member(population, index), jax.local_devices()[0])
        member.visit(step, state, save)

    _each(present, visit)
