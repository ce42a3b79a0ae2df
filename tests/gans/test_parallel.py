import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gans import core, dcgan, draws, parallel
from tests.gans import game

KEY = jax.random.key(3)


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), one, other)


def spread(batch, devices=4):
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(devices, -1, *leaf.shape[1:]), batch)


def fresh():
    return game.state(averaged=True)


def run(step, layout=lambda batch: batch, steps=3):
    state = fresh()
    for index in range(steps):
        state, metrics = step(state, layout(game.batch(seed=index)), KEY)
    return jax.device_get((state, metrics))


@pytest.fixture(scope="module")
def one_device():
    return run(jax.jit(game.step()))


def test_four_devices_are_here():
    assert jax.device_count() == 4


def test_many_devices_equal_one(one_device):
    step = parallel.data_parallel(game.step(parallel.mean_over("devices")))
    close(run(step, spread), one_device)


def test_micro_batches_equal_one_batch(one_device):
    close(run(jax.jit(game.step(parallel.accumulate(4)))), one_device)


def test_devices_with_micro_batches_equal_one_batch(one_device):
    grad = parallel.mean_over("devices", parallel.accumulate(3))
    close(run(parallel.data_parallel(game.step(grad)), spread), one_device)


def test_scanned_steps_equal_single_ones(one_device):
    batches = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[game.batch(seed=index) for index in range(3)])
    state, metrics = jax.jit(parallel.scan_steps(game.step()))(fresh(), batches, KEY)
    assert metrics["generator/loss"].shape == (3,)
    close((state, jax.tree.map(lambda values: values[-1], metrics)), one_device)


def test_scanned_steps_on_many_devices_equal_single_ones(one_device):
    batches = jax.tree.map(lambda *leaves: np.stack(leaves, 1), *[spread(game.batch(seed=index)) for index in range(3)])
    step = parallel.data_parallel(parallel.scan_steps(game.step(parallel.mean_over("devices"))))
    state, _ = step(fresh(), batches, KEY)
    close(state, one_device[0])


def test_vmap_with_an_axis_name_equals_one_device(one_device):
    step = jax.vmap(
        game.step(parallel.mean_over("devices")), in_axes=(None, 0, None), out_axes=None, axis_name="devices"
    )
    close(run(jax.jit(step), spread), one_device)


def test_shard_map_equals_one_device(one_device):
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    step = jax.shard_map(
        game.step(parallel.mean_over("devices")),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("devices"), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    close(run(jax.jit(step)), one_device)


def coupled_loss(moving, state, batch, key):
    """Feature matching: a loss of batch means, which couples examples."""
    fakes = game.generate(moving["generator"], draws.draw_latents(key, batch, 3))
    return jnp.square(fakes.mean(0) - batch["x"].mean(0)).sum(), ({}, {})


def test_for_coupled_losses_devices_equal_micro_batches():
    def step(grad):
        return core.train_step(core.turn("generator", coupled_loss, game.OPTIMIZERS, grad))

    devices = run(parallel.data_parallel(step(parallel.mean_over("devices"))), spread)
    close(devices, run(jax.jit(step(parallel.accumulate(4)))))
    whole, _ = run(jax.jit(step(core.plain)))
    kernel = whole.players["generator"].params["kernel"]
    assert not np.allclose(devices[0].players["generator"].params["kernel"], kernel, rtol=1e-4)


def test_dropout_differs_between_devices_and_micro_batches():
    def masks(grad, batch):
        def loss(moving, state, batch, key):
            drawn = jax.random.uniform(draws.share_key(key, batch))
            return moving["generator"]["bias"].sum() * 0 + drawn, ({}, {})

        return grad(loss)({"generator": game.state().players["generator"].params}, None, batch, KEY)[0][0]

    first = draws.with_positions({"x": jnp.zeros((6, 5))})
    second = draws.with_positions({"x": jnp.zeros((6, 5))}, 6)
    whole = {"x": jnp.zeros((12, 5))}
    mean = (masks(core.plain, first) + masks(core.plain, second)) / 2
    assert masks(core.plain, first) != masks(core.plain, second)
    np.testing.assert_allclose(masks(parallel.accumulate(2), whole), mean, rtol=1e-6)


def test_a_forgotten_mean_is_caught():
    right, _ = parallel.data_parallel(game.step(parallel.mean_over("devices")))(fresh(), spread(game.batch()), KEY)
    parallel.assert_replicated(right)
    wrong, _ = parallel.data_parallel(game.step())(fresh(), spread(game.batch()), KEY)
    with pytest.raises(AssertionError, match="discriminator.*differs between devices 0 and 1"):
        parallel.assert_replicated(wrong)


def test_the_state_is_donated_and_the_frozen_arrays_survive():
    judge = {"kernel": jnp.ones((5, 5))}
    state = parallel.replicate(game.state(frozen=judge))
    after, _ = parallel.data_parallel(game.step(parallel.mean_over("devices")))(state, spread(game.batch()), KEY)
    assert state.players["generator"].params["kernel"].is_deleted()
    assert not state.frozen["kernel"].is_deleted()
    assert after.frozen is state.frozen
    np.testing.assert_array_equal(judge["kernel"], np.ones((5, 5)))


def test_a_loss_can_read_the_frozen_networks_on_many_devices():
    def loss(moving, state, batch, key):
        value, aux = game.generator_loss(moving, state, batch, key)
        return value * state.frozen["weight"], aux

    step = core.train_step(core.turn("generator", loss, game.OPTIMIZERS, parallel.mean_over("devices")))
    one = parallel.data_parallel(step)
    _, metrics = one(game.state(frozen={"weight": jnp.float32(1)}), spread(game.batch()), KEY)
    _, doubled = one(game.state(frozen={"weight": jnp.float32(2)}), spread(game.batch()), KEY)
    np.testing.assert_allclose(2 * metrics["generator/loss"], doubled["generator/loss"], rtol=1e-6)


def test_replicate_puts_a_copy_on_each_device():
    tree = parallel.replicate({"a": np.arange(3.0)})
    assert tree["a"].sharding.is_fully_replicated
    assert tree["a"].sharding == NamedSharding(Mesh(np.array(jax.devices()), ("devices",)), PartitionSpec())


def convolutional(grad, coefficients):
    """One step of a small DCGAN with batch norm in both players and no dropout, on 16 pictures."""
    optimizers = {"adversarial": {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)}}
    gan = dcgan.make(
        optimizers,
        grad,
        image_shape=(8, 8, 1),
        latent_size=4,
        generator_options={"channels": (4, 4)},
        discriminator_options={"channels": (4, 4), "norm": "batch", "dropout": 0.0},
    )
    shapes = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), gan.inputs(2))
    phase = gan.phases["adversarial"]
    return phase.enter(gan.init(jax.random.key(0), shapes, None, coefficients)), phase.step


@pytest.mark.parametrize("coefficients", [{"adversarial": 1.0}, {"adversarial": 1.0, "r1": 1.0}])
def test_with_synchronised_batch_norm_many_devices_equal_one(coefficients):
    batch = {"image": jax.random.uniform(jax.random.key(1), (16, 8, 8, 1), minval=-1)}

    def outcome(grad, wrap, layout=lambda batch: batch):
        state, step = convolutional(grad, coefficients)
        state, metrics = wrap(step)(state, layout(batch), KEY)
        metrics = {name: value for name, value in metrics.items() if "diversity" not in name}  # it couples the batch
        return jax.device_get((state, metrics))

    whole = outcome(core.plain, jax.jit)
    together = outcome(parallel.mean_over("devices", parallel.synchronised("devices")), parallel.data_parallel, spread)
    apart = outcome(parallel.mean_over("devices"), parallel.data_parallel, spread)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), together, whole)
    assert abs(apart[1]["discriminator/loss"] - whole[1]["discriminator/loss"]) > 1e-4


def test_under_accumulation_synchronised_statistics_are_those_of_a_micro_batch_of_all_devices():
    x = jax.random.normal(jax.random.key(2), (16, 3))
    module = nn.BatchNorm(use_running_average=False, momentum=0.0)
    variables = module.init(KEY, x)

    def loss(moving, state, batch, key):
        _, stats = module.apply({"params": moving, **state}, batch["x"], mutable=["batch_stats"])
        return jnp.zeros(()), (stats, {})

    grad = parallel.mean_over("devices", parallel.accumulate(2, parallel.synchronised("devices")))(loss)
    step = jax.pmap(grad, "devices", in_axes=(None, None, 0, None), out_axes=None)
    stats = {"batch_stats": variables["batch_stats"]}
    ((_, (found, _)), _) = step(variables["params"], stats, {"x": x.reshape(4, 4, 3)}, KEY)
    parts = x.reshape(4, 2, 2, 3).swapaxes(0, 1).reshape(2, 8, 3)  # the first halves of all devices, then the second
    np.testing.assert_allclose(found["batch_stats"]["var"], parts.var(1).mean(0), rtol=1e-4)
