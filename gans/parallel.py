"""What wraps a step from outside: many devices, micro-batches, several steps a dispatch.

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
        return scan(step, state, batch, jnp.broadcast_to(key, (count(batch),)))

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
