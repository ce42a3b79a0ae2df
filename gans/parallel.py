"""What wraps a step from outside: many devices, micro-batches, several steps a dispatch, a population of GANs.

What equals what: for losses that are means over examples, without batch norm or dropout, one device = N devices =
N micro-batches = scanned steps, to float tolerance. For losses that couple the examples of a batch (batch norm, feature
matching, ...) N devices = N accumulated micro-batches. Batch norm takes its statistics on each device by itself, unless
its loss is `synchronised`: then N devices = one device with the whole batch, as far as batch norm goes; under
accumulation the statistics are those of one micro-batch of all devices.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gans.core import GradFn, State, Step, cut, plain, scan, unrolled
from gans.draws import count, with_positions


def accumulate(times: int, grad: GradFn = plain) -> GradFn:
    """Gradients, stats and metrics averaged over `times` micro-batches of the batch, one in memory at a time."""

    def accumulated(loss):
        one = grad(loss)

        def mean(moving, state, batch, key):
            batch = cut(with_positions(batch), times)
            shapes = jax.eval_shape(one, moving, state, jax.tree.map(lambda leaf: leaf[0], batch), key)
            zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

            def add(total, micro_batch):
                return jax.tree.map(jnp.add, total, one(moving, state, micro_batch, key)), None

            total, _ = jax.lax.scan(add, zeros, batch, unroll=unrolled())
            return jax.tree.map(lambda value: value / times, total)

        return mean

    return accumulated


def mean_over(axis: str, grad: GradFn = plain) -> GradFn:
    """Gradients, stats and metrics averaged over a mapped axis (pmap, vmap or shard_map with check_vma=False).

    Each example is told its position in the global batch, which lies along the axis in order.
    """

    def averaged(loss):
        local = grad(loss)

        def mean(moving, state, batch, key):
            batch = with_positions(batch, start=jax.lax.axis_index(axis) * count(batch))
            return jax.lax.pmean(local(moving, state, batch, key), axis)

        return mean

    return averaged


def synchronised(axis: str, grad: GradFn = plain) -> GradFn:
    """Batch norm within the loss takes its statistics over a mapped axis too: over the batch of all devices.

    It acts on every `flax.linen.BatchNorm` in training mode, whoever's network it stands in, and on no other layer.
    Hand it to `mean_over`, and where there are micro-batches to `accumulate`: `mean_over(axis, accumulate(2,
    synchronised(axis)))`.
    """

    def over_the_axis(next_call, args, kwargs, context):
        if isinstance(context.module, nn.BatchNorm) and context.method_name == "__call__":
            # The module is a copy of this call's own, but it is frozen: Flax has no other way in from outside.
            object.__setattr__(context.module, "axis_name", axis)
        return next_call(*args, **kwargs)

    def wrapped(loss):
        def whole(*args):
            with nn.intercept_methods(over_the_axis):
                return loss(*args)

        return grad(whole)

    return wrapped


def scan_steps(step: Step) -> Step:
    """Several steps a dispatch: batch leaves are [steps, batch, ...], metrics come back as [steps]."""

    def scanned(state, batch, key):
        return scan(step, state, batch, jnp.broadcast_to(key, (count(batch), *jnp.shape(key))))

    return scanned


def data_parallel(step: Step, axis: str = "devices", devices: Sequence[jax.Device] | None = None) -> Step:
    """The step on many devices by `jax.pmap`: one state for all, each device its share of the batch.

    The step must average over `axis` (build it with `mean_over(axis)`): a forgotten mean shows as devices that
    disagree, see `assert_replicated`.

    Args:
      step: a Step on one device's share.
      axis: the mapped axis' name.
      devices: the devices to use; all of them, on all hosts, if None.

    Returns:
      A Step whose batch leaves are [devices, batch per device, ...], of this host's devices alone. It donates the
      state, except `frozen`; the state and the metrics come back without a device axis. Put the state on the devices
      once with `replicate`, else the first call does, and `frozen` travels at every call; several hosts must.
    """

    def detached(state, frozen, batch, key):
        state, metrics = step(state.replace(frozen=frozen), batch, key)
        return state.replace(frozen=None), metrics

    mapped = jax.pmap(detached, axis, in_axes=(None, None, 0, None), out_axes=None, donate_argnums=0, devices=devices)

    def parallel(state: State, batch, key):
        frozen = state.frozen
        state, metrics = mapped(state.replace(frozen=None), frozen, batch, key)
        return state.replace(frozen=frozen), metrics

    return parallel


def replicate(tree: Any, devices: Sequence[jax.Device] | None = None) -> Any:
    """A copy of the tree on each of the devices, by default this host's, as arrays without a device axis."""
    mesh = Mesh(np.array(devices or jax.local_devices()), ("devices",))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def assert_replicated(tree: Any) -> None:
    """Raises an AssertionError that names the first leaf whose copies differ between the devices of this host."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        for device, copy in enumerate(copies[1:], 1):
            if not np.array_equal(copies[0], copy, equal_nan=True):
                raise AssertionError(
                    f"{jax.tree_util.keystr(path)} differs between devices 0 and {device}: was a gradient not averaged?"
                )


# Which leaves of a population have a leading axis, that of its members; for `vmap` and `pmap`, 0 or None.
MEMBERS = State(step=None, players=0, coefficients=0, frozen=None)
FORMS = ("vmap", "map", "unrolled")


def stack(states: Sequence[State]) -> State:
    """A population: players and coefficients of the states with a leading axis of members, the first's step and frozen.

    Raises:
      ValueError: if the states differ in their structure, in the shapes of their leaves, or in their step.
    """
    first, *others = states
    known = [int(state.step) for state in states if not isinstance(state.step, jax.core.Tracer)]
    if len(set(known)) > 1:
        raise ValueError(f"The members of a population are at one step, but these are at {known}.")
    moving = [(state.players, state.coefficients) for state in states]
    if any(_layout(other) != _layout(moving[0]) for other in moving[1:]):
        raise ValueError("The members of a population have networks, optimizers and coefficients of the same layout.")
    players, coefficients = jax.tree.map(lambda *leaves: jnp.stack(leaves), *moving)
    # A copy, since a population that is donated may not take a state's own array with it.
    return first.replace(step=jnp.copy(first.step), players=players, coefficients=coefficients)


def _layout(tree):
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def member(state: State, index: jax.Array | int) -> State:
    """A population's member as a state of its own; `frozen` is the population's."""
    players, coefficients = jax.tree.map(lambda leaf: leaf[index], (state.players, state.coefficients))
    return state.replace(players=players, coefficients=coefficients)


def population(step: Step, form: str | None = None) -> Step:
    """The step on many GANs at once, in one program; to be jitted.

    Whatever lies in the players and in `State.coefficients` may differ from member to member: initial weights, loss
    weights, and an optimizer's numbers where `optax.inject_hyperparams` holds them in its state. Each member has a run
    key and a batch of its own, so that it goes the way that it would go alone, to float tolerance.

    Args:
      step: a Step of one GAN, also one of `scan_steps`; gradients are taken over its own batch, not over devices.
      form: how the members share the program. 'vmap': each operation for all members; convolutions become grouped ones.
        'map': one member after another, in a loop. 'unrolled': the same written out, which takes as many times as long
        to compile as there are members. None: 'unrolled' on the CPU, else 'vmap'.

    Measured with four members of experiments/configs/dcgan.py on two cores (JAX 0.10.2): a member's step takes 1.1
    ('unrolled'), 6 ('vmap') and 26 ('map') times the processor time that it takes alone, for XLA runs grouped
    convolutions, and convolutions in loops, badly there. Written as matrix products the convolutions take 2.4 times as
    long alone, under 'vmap' just as long, and in 'map' 2.1 times.

    Returns:
      A Step whose state is a population (see `stack`), whose batch leaves are [members, batch, ...], or
      [members, steps, batch, ...] under `scan_steps`, and whose key is keys [members]. Metrics are [members, ...].
      `state.step` is one for all, so that a `lax.cond` on it takes one side, not both.

    Raises:
      ValueError: for another form.
    """
    form = form or ("unrolled" if unrolled() else "vmap")
    if form not in FORMS:
        raise ValueError(f"form={form!r}: choose {', '.join(FORMS)}.")

    def one(state, frozen, batch, key):
        state, metrics = step(state.replace(frozen=frozen), batch, key)
        return state.replace(frozen=None), metrics

    def in_a_loop(state, frozen, batch, keys):
        def body(at, member_batch_and_key):
            (players, coefficients), batch, key = member_batch_and_key
            after, metrics = one(State(state.step, players, coefficients), frozen, batch, key)
            return after.step, (after.players, after.coefficients, metrics)

        members = (state.players, state.coefficients), batch, keys
        at, (players, coefficients, metrics) = jax.lax.scan(body, state.step, members)
        return State(at, players, coefficients), metrics

    def written_out(state, frozen, batch, keys):
        # Not a scan with `unroll`, which is a loop all the same where there is one member.
        own = [jax.tree.map(lambda leaf, i=index: leaf[i], (batch, keys)) for index in range(len(keys))]
        found = [one(member(state, index), frozen, *given) for index, given in enumerate(own)]
        states, metrics = zip(*found, strict=True)
        return stack(states), jax.tree.map(lambda *leaves: jnp.stack(leaves), *metrics)

    at_once = jax.vmap(one, in_axes=(MEMBERS, None, 0, 0), out_axes=(MEMBERS, 0))
    together = {"vmap": at_once, "map": in_a_loop, "unrolled": written_out}[form]

    def stepped(state, batch, keys):
        after, metrics = together(state.replace(frozen=None), state.frozen, batch, keys)
        return after.replace(frozen=state.frozen), metrics

    return stepped


def member_parallel(step: Step, devices: Sequence[jax.Device] | None = None) -> Step:
    """A population's step on many devices: each takes its share of the members, and none waits for another.

    Args:
      step: a Step of a population, see `population`.
      devices: the devices to use; all of them if None.

    Returns:
      The compiled Step, for a number of members that is a multiple of that of the devices. It donates the state, except
      `frozen`. Put `frozen` on the devices once with `replicate`, else it travels at every call.
    """
    mesh = Mesh(np.array(devices or jax.devices()), ("members",))
    shared, split = PartitionSpec(), PartitionSpec("members")
    members = State(step=shared, players=split, coefficients=split, frozen=shared)

    def detached(state, frozen, batch, keys):
        state, metrics = step(state.replace(frozen=frozen), batch, keys)
        return state.replace(frozen=None), metrics

    given = (members, shared, split, split)
    spread = jax.shard_map(detached, mesh=mesh, in_specs=given, out_specs=(members, split), check_vma=False)
    compiled = jax.jit(spread, donate_argnums=0)
    places = jax.tree.map(lambda spec: NamedSharding(mesh, spec), given)

    def parallel(state: State, batch, keys):
        # What lies on one device, such as a restored state, is moved; what lies where it should stays there.
        placed = jax.device_put((state.replace(frozen=None), state.frozen, batch, keys), places)
        after, metrics = compiled(*placed)
        return after.replace(frozen=state.frozen), metrics

    return parallel
