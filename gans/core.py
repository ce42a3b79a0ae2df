"""What a train step is made of: the state of the players, their turns, and how turns make a step.

Everything here is a pure function or a pytree. A family (`gans.inpainting`, ...) hands its networks and losses to
`turn`, puts turns in order with `train_step`, and returns the result as a `Gan`.

The types that the combinators speak:

    Loss    (moving {name: params}, state, batch, key) -> (scalar, ({name: new stats}, {metric: scalar}))
    GradFn  Loss -> f(moving, state, batch, key) -> ((scalar, aux), gradients)
    Step    (state, batch, key) -> (state, {metric: scalar})

`batch` is a dict of arrays with the same leading number of examples; `key` is one key for the whole run.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

Batch = Mapping[str, jax.Array]
Metrics = dict[str, jax.Array]
Loss = Callable[[Mapping[str, Any], "State", Batch, jax.Array], tuple[jax.Array, tuple[dict, Metrics]]]
GradFn = Callable[[Loss], Callable]
Step = Callable[["State", Batch, jax.Array], tuple["State", Metrics]]


@struct.dataclass
class Player:
    """One network and all that its optimizer owns.

    params:    what the optimizer moves.
    stats:     the network's other variables by collection, such as `batch_stats`; {} if it has none.
    opt_state: the optax state of the current phase; () while this player does not move in it.
    updates:   int32 [], the turns that this player has really taken.
    average:   moving averages {'params', 'stats'}, or {}.
    """

    params: Any
    stats: Any
    opt_state: Any
    updates: jax.Array
    average: Mapping[str, Any]


@struct.dataclass
class State:
    """Everything that a train step reads or moves.

    step:         int32 [], train steps taken; unbatched in a population too.
    players:      {name: Player}.
    coefficients: {term: float32 []}, loss weights; traced, so that a population can vary them. A term that is missing
                  here is left out of the program.
    frozen:       variables of the judges: read, never moved, never checkpointed, never donated.
    """

    step: jax.Array
    players: Mapping[str, Player]
    coefficients: Mapping[str, jax.Array]
    frozen: Any = None


class Phase(NamedTuple):
    """A stretch of training with one kind of step.

    enter:  State -> State with fresh optimizer states for the players that move; `eval_shape` of it is what a
            checkpoint of this phase is restored into.
    step:   the train step.
    slices: equal slices of examples that one step eats: its batch has slices * batch_size of them.
    """

    enter: Callable[[State], State]
    step: Step
    slices: int = 1


class Gan(NamedTuple):
    """A family's whole surface, as pure functions.

    init:     (key, batch, frozen, coefficients) -> State, before any phase was entered.
    phases:   {name: Phase}, in the order in which they are trained.
    sample:   (state, inputs, key) -> {name: images}; inputs are conditions, and `latent` when given.
    inputs:   (count) -> {name: ShapeDtypeStruct}, what `sample` needs.
    evaluate: (state, batch, key) -> {name: [batch, ...]}, one value or vector an example.
    features: (state, batch) -> {layer: [batch, size]}, what the discriminator sees in `image`, see `gans.features`;
              None where the family has none.
    """

    init: Callable[..., State]
    phases: Mapping[str, Phase]
    sample: Callable[[State, Mapping[str, jax.Array], jax.Array], dict[str, jax.Array]]
    inputs: Callable[[int], dict[str, jax.ShapeDtypeStruct]]
    evaluate: Callable[[State, Batch, jax.Array], dict[str, jax.Array]]
    features: Callable[[State, Batch], dict[str, jax.Array]] | None = None


def new_player(variables: Mapping[str, Any], averaged: bool = False) -> Player:
    """A player from what a Flax network's `init` returned; with moving averages of its own if `averaged`."""
    stats = {name: values for name, values in variables.items() if name != "params"}
    # Copies, since two leaves of a donated state may not share a buffer.
    average = jax.tree.map(jnp.copy, {"params": variables["params"], "stats": stats}) if averaged else {}
    return Player(variables["params"], stats, (), jnp.zeros((), jnp.int32), average)


def new_state(
    players: Mapping[str, Player], frozen: Any = None, coefficients: Mapping[str, float | None] = MappingProxyType({})
) -> State:
    """A state at step 0. A coefficient of None is left out, and with it the term that it weighs."""
    weights = {name: jnp.float32(value) for name, value in coefficients.items() if value is not None}
    return State(jnp.zeros((), jnp.int32), dict(players), weights, frozen)


def enter_with(optimizers: Mapping[str, optax.GradientTransformation]) -> Callable[[State], State]:
    """A phase's `enter`: fresh optimizer states for the players in `optimizers`, none for the others."""

    def enter(state: State) -> State:
        return state.replace(
            players={
                name: player.replace(opt_state=optimizers[name].init(player.params) if name in optimizers else ())
                for name, player in state.players.items()
            }
        )

    return enter


def variables(player: Player) -> dict[str, Any]:
    """A player's current variables, as a Flax network's `apply` takes them."""
    return {"params": player.params, **player.stats}


def best_variables(player: Player) -> dict[str, Any]:
    """What to use a player with: its moving averages where it has them, else its current variables."""
    chosen = player.average or {"params": player.params, "stats": player.stats}
    return {"params": chosen["params"], **chosen["stats"]}


def apply_training(module, player: Player, inputs, key: jax.Array, **conditions) -> tuple[Any, dict[str, Any]]:
    """A player's Flax network in training mode, module(inputs, True): (outputs, new stats); `key` is for dropout."""
    changing = list(player.stats)
    return module.apply(variables(player), inputs, True, mutable=changing, rngs={"dropout": key}, **conditions)


def plain(loss: Loss) -> Callable:
    """The gradient of a loss over the batch as it is. See `gans.parallel` for the other GradFns."""
    return jax.value_and_grad(loss, has_aux=True)


def turn(
    names: str | Sequence[str],
    loss: Loss,
    optimizers: Mapping[str, optax.GradientTransformation],
    grad: GradFn = plain,
    when: Callable[[State, Metrics], jax.Array] | None = None,
    label: str = "",
) -> Step:
    """A step in which the players `names` descend one loss together while all others stand still.

    Args:
      names: the players that move.
      loss: gets their params as `moving`, everything else from the state; returns new stats for them alone.
      optimizers: {name: optax transformation}, at least for `names`.
      grad: how the gradient is taken: `plain`, or `accumulate` and `mean_over` of `gans.parallel`.
      when: (state, metrics of this turn) -> bool []; where False, params, stats, opt_state and updates stay as they
        were.
      label: tells this turn from the player's others in the same step: `<name>_<label>` then stands in its metrics.

    Returns:
      A Step; its metrics are those of the loss, `<names>/loss`, and for each player `<name>/gradient_norm` and
      `<name>/update_norm`; with `when` also `<name>/moved`, 0 or 1.

    Raises:
      ValueError: while tracing, if the loss returned stats for a player that stands still, or a metric's name twice.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    suffix = label and f"_{label}"

    def step(state, batch, key):
        moving = {name: state.players[name].params for name in names}
        (value, (stats, metrics)), gradients = grad(loss)(moving, state, batch, key)
        if standing := set(stats) - set(names):
            raise ValueError(
                f"The loss of the turn of {names} returned stats of {sorted(standing)}, which stand still."
            )
        metrics = _merged({"+".join(names) + f"{suffix}/loss": value}, metrics)
        players = dict(state.players)
        for name in names:
            players[name], norms = _moved(players[name], gradients[name], stats.get(name), optimizers[name])
            metrics = _merged(metrics, {f"{name}{suffix}/{norm}": value for norm, value in norms.items()})
        if when is not None:
            move = when(state, metrics)
            for name in names:
                choose = functools.partial(jnp.where, move)
                players[name] = jax.tree.map(choose, players[name], state.players[name])
                metrics = _merged(metrics, {f"{name}{suffix}/moved": move.astype(jnp.float32)})
        return state.replace(players=players), metrics

    return step


def _moved(player, gradient, stats, optimizer):
    updates, opt_state = optimizer.update(gradient, player.opt_state, player.params)
    norms = {"gradient_norm": optax.tree.norm(gradient), "update_norm": optax.tree.norm(updates)}
    moved = player.replace(
        params=optax.apply_updates(player.params, updates),
        stats=player.stats if stats is None else stats,
        opt_state=opt_state,
        updates=player.updates + 1,
    )
    return moved, norms


def _merged(metrics: Metrics, more: Metrics) -> Metrics:
    if twice := metrics.keys() & more.keys():
        raise ValueError(f"Two metrics of one step have the same name: {sorted(twice)}.")
    return {**metrics, **more}


def in_turn(*steps: Step) -> Step:
    """These steps one after another, on the same batch, each with a key of its own; `state.step` stays."""

    def step(state, batch, key):
        metrics = {}
        for index, one in enumerate(steps):
            state, more = one(state, batch, jax.random.fold_in(key, index))
            metrics = _merged(metrics, more)
        return state, metrics

    return step


def cut(batch: Batch, slices: int) -> Batch:
    """The batch as equal slices one after another: leaves [slices, batch / slices, ...].

    Raises:
      ValueError: if a leaf's number of examples is no multiple of `slices`.
    """

    def reshape(path, leaf):
        if leaf.shape[0] % slices:
            name = jax.tree_util.keystr(path)
            raise ValueError(f"batch{name} has {leaf.shape[0]} examples, which do not make {slices} equal slices.")
        return leaf.reshape(slices, leaf.shape[0] // slices, *leaf.shape[1:])

    return jax.tree_util.tree_map_with_path(reshape, batch)


def unrolled() -> bool:
    """Whether loops are written out: on the CPU, where XLA takes gradients of convolutions 36 times slower in a loop.

    Measured with 3x3 convolutions, 64 channels, 14x14 maps, a batch of 16: 727 and 20 ms for five of them (JAX 0.10.2).
    """
    return jax.default_backend() == "cpu"


def scan(step: Step, state: State, batches: Batch, keys: jax.Array) -> tuple[State, Metrics]:
    """`lax.scan` of a step over leading axes of batches and keys; metrics are stacked. `frozen` is not carried.

    On the CPU it is unrolled, see `unrolled`.
    """
    frozen = state.frozen

    def body(carried, batch_and_key):
        carried, metrics = step(carried.replace(frozen=frozen), *batch_and_key)
        return carried.replace(frozen=None), metrics

    state, metrics = jax.lax.scan(body, state.replace(frozen=None), (batches, keys), unroll=unrolled())
    return state.replace(frozen=frozen), metrics


def repeat(step: Step, times: int) -> Step:
    """The step on `times` equal slices of the batch, one after another; metrics are averaged over them."""

    def repeated(state, batch, key):
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(times))
        state, metrics = scan(step, state, cut(batch, times), keys)
        return state, jax.tree.map(lambda values: values.mean(0), metrics)

    return repeated


def part(step: Step, start: int, stop: int, of: int) -> Step:
    """The step on slices [start, stop) of the batch's `of` equal slices."""
    if not 0 <= start < stop <= of:
        raise ValueError(f"There are no slices [{start}, {stop}) of {of}.")

    def partial_step(state, batch, key):
        slices = jax.tree.map(lambda leaf: leaf[start:stop].reshape(-1, *leaf.shape[2:]), cut(batch, of))
        return step(state, slices, key)

    return partial_step


def average(names: str | Sequence[str], decay: float) -> Step:
    """A step that moves the moving averages of params and stats: average = d * average + (1 - d) * current.

    d = min(decay, (1 + n) / (10 + n)) after the player's n-th update, so that early averages forget the random
    initialisation. A player made without averages is an error.
    """
    names = (names,) if isinstance(names, str) else tuple(names)

    def step(state, batch, key):
        del batch, key
        players = dict(state.players)
        for name in names:
            player = players[name]
            if not player.average:
                raise ValueError(f"{name} has no moving averages: make it with new_player(..., averaged=True).")
            n = player.updates.astype(jnp.float32)
            d = jnp.minimum(decay, (1 + n) / (10 + n))
            current = {"params": player.params, "stats": player.stats}
            mixed = jax.tree.map(lambda old, new, d=d: d * old + (1 - d) * new, player.average, current)
            players[name] = player.replace(average=mixed)
        return state.replace(players=players), {}

    return step


def train_step(*steps: Step) -> Step:
    """A whole train step: the steps in turn, under a key of this step's own, counted in `state.step`.

    The only place where the run's key is folded with the step and where the step is counted.
    """
    in_order = in_turn(*steps)

    def step(state, batch, key):
        state, metrics = in_order(state, batch, jax.random.fold_in(key, state.step))
        return state.replace(step=state.step + 1), metrics

    return step
