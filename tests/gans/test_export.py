import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gans import dcgan, export, gan3d, inpainting, vanilla
from tests.experiments import isolation
from tests.gans.filled import filled

KEY = jax.random.key(0)
SHAPE = (8, 8, 1)
SIZES = (1, 5)
OPTIMIZERS = {"adversarial": {"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.1)}}
RESIDUAL = {"channels": (8, 4), "blocks": 1, "groups": 1}
GANS = {
    "dense": lambda: vanilla.make(
        OPTIMIZERS, image_shape=SHAPE, latent_size=4, average_decay=0.9, generator_options={"hidden": (8,)}
    ),
    "residual": lambda: dcgan.make(
        OPTIMIZERS,
        image_shape=SHAPE,
        latent_size=4,
        classes=3,
        generator="ResidualGenerator",
        generator_options=RESIDUAL,
    ),
    "restoring": lambda: inpainting.make(OPTIMIZERS, image_shape=SHAPE),
    "volumes": lambda: gan3d.make(
        OPTIMIZERS,
        image_shape=(16, 16, 16, 1),
        latent_size=4,
        batch_statistics=True,
        generator_options={"channels": (8, 8)},
        discriminator_options={"channels": (8, 8)},
    ),
}


def state_of(gan):
    return filled(jax.eval_shape(gan.init, KEY, gan.inputs(2)))


def inputs_of(gan, count):
    random = np.random.default_rng(count)
    return {
        name: random.integers(0, 3, leaf.shape).astype(np.int32)
        if leaf.dtype == jnp.int32
        else random.uniform(-1, 1, leaf.shape).astype(np.float32)
        for name, leaf in gan.inputs(count).items()
    }


def test_every_kind_of_generator_runs_without_this_package(tmp_path):
    expected = {}
    for name, make in GANS.items():
        gan = make()
        state = state_of(gan)
        (tmp_path / f"{name}.bin").write_bytes(export.generator(gan, state))
        for size in SIZES:
            inputs = inputs_of(gan, size)
            np.savez(tmp_path / f"{name}_{size}.npz", *inputs.values())
            (expected[name, size],) = jax.jit(gan.sample)(state, inputs, KEY).values()
    isolation.run(
        f"""
import numpy as np
from jax import export
for name in {list(GANS)}:
    generator = export.deserialize(bytearray(open(name + ".bin", "rb").read()))
    for size in {SIZES}:
        inputs = np.load(f"{{name}}_{{size}}.npz")
        (images,) = generator.call(*(inputs[f"arr_{{i}}"] for i in range(len(inputs)))).values()
        np.save(f"{{name}}_{{size}}.npy", images)
""",
        tmp_path,
    )
    for (name, size), images in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}_{size}.npy"), images, atol=1e-5, err_msg=name)


def test_the_file_holds_the_weights_once_and_says_where_it_runs():
    gan = vanilla.make(OPTIMIZERS, average_decay=0.9)
    state = state_of(gan)
    content = export.generator(gan, state, ["cuda", "cpu"])
    variables = sum(leaf.nbytes for leaf in jax.tree.leaves(state.players["generator"].average))
    assert 0.99 * variables < len(content) < 1.05 * variables  # equal numbers take less
    exported = jax.export.deserialize(content)
    assert exported.platforms == ("cuda", "cpu")
    (latent,) = exported.in_avals
    assert [str(size) for size in latent.shape] == ["batch", "100"]


@pytest.mark.parametrize("platforms", [[], ["cpu", "gpu"]])
def test_platforms_that_do_not_exist(platforms):
    with pytest.raises(ValueError, match="choose some of cpu, cuda, rocm, tpu"):
        export.generator(GANS["dense"](), None, platforms)
