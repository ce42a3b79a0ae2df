"""Pictures in tiles: what comes out is what the whole picture would give."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import tiles
from gans.deblur import networks as deblur
from gans.srgan import networks as srgan
from tests.gans.filled import filled

GENERATORS = {
    "srgan": srgan.Generator(channels=4, blocks=1, scale=4, norm=True),
    "residual": srgan.Generator(channels=4, blocks=2, scale=2, norm=False, residual=True),
    "deblur": deblur.Generator(channels=(4, 4, 4), blocks=1),
}


def network(module, reach=None):
    """A generator with arbitrary weights; `programs` lists the sizes that were compiled."""
    shape = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    variables = filled(jax.eval_shape(module.init, jax.random.key(0), shape))
    # Values near 1 throughout, so that rounding stays small.
    variables = jax.tree.map(lambda leaf: leaf if leaf.ndim < 2 else leaf * 5 / leaf[..., 0].size ** 0.5, variables)
    programs = []

    @functools.cache
    def program(height, width):
        programs.append((height, width))
        source = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
        return jax.jit(lambda variables, x: (module.apply(variables, x),)).lower(variables, source).compile()

    reach = module.reach if reach is None else reach
    return tiles.Network(program, variables, getattr(module, "scale", 1), reach, module.multiple), programs


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def put_together(made_by, source, memory):
    whole = np.full((made_by.scale * source.shape[0], made_by.scale * source.shape[1], 3), np.nan, np.float32)
    for top, left, (piece,) in tiles.apply(made_by, source, memory):
        place = whole[top : top + piece.shape[0], left : left + piece.shape[1]]
        assert np.isnan(place).all()  # nothing is made twice
        place[:] = piece
    return whole


def at_once(made_by, source):
    """The network's picture of the whole source, mirrored to the sides that the network wants."""
    down, right = -source.shape[0] % made_by.multiple, -source.shape[1] % made_by.multiple
    padded = np.pad(source, ((0, down), (0, right), (0, 0)), "symmetric")[None] / np.float32(127.5) - 1
    made = made_by.program(*padded.shape[1:3])(made_by.variables, padded)[0][0]
    return made[: made_by.scale * source.shape[0], : made_by.scale * source.shape[1]]


@pytest.mark.parametrize("name", GENERATORS)
def test_tiles_make_what_the_whole_picture_makes(name):
    made_by, programs = network(GENERATORS[name])
    least = 2 * made_by.reach + tiles.STEP
    source = picture(least + 37, 2 * least - 3)
    found = put_together(made_by, source, memory=1)
    assert len(programs) <= 2  # the one that tells the memory, and one for all tiles
    np.testing.assert_allclose(found, at_once(made_by, source), atol=1e-4)


@pytest.mark.parametrize("name", GENERATORS)
def test_windows_that_show_less_than_the_network_sees_would_leave_seams(name):
    module = GENERATORS[name]
    made_by, _ = network(module, reach=module.reach // 4)
    source = picture(150, 160)
    assert np.abs(put_together(made_by, source, memory=1) - at_once(made_by, source)).max() > 1e-2


@pytest.mark.parametrize(("height", "width"), [(5, 3), (8, 200), (1, 1)])
def test_pictures_smaller_than_a_tile_are_made_whole(height, width):
    made_by, _ = network(GENERATORS["deblur"])
    source = picture(height, width)
    np.testing.assert_allclose(put_together(made_by, source, memory=1), at_once(made_by, source), atol=1e-4)


def test_more_memory_makes_larger_tiles():
    made_by, _ = network(GENERATORS["srgan"])
    source = picture(400, 400)
    counts = [sum(1 for _ in tiles.apply(made_by, source, memory)) for memory in (1, 10**7, 10**9)]
    assert counts[0] > counts[1] > counts[2] == 1


def test_windows_cover_a_side_once_and_share_one_size():
    for length, margin, step, extra in itertools.product(range(8, 900, 24), (0, 8, 40), (8, 64), (1, 3)):
        largest = 2 * margin + extra * step
        found = tiles.windows(length, largest, margin, step)
        assert {one.stop - one.start for one in found} == {min(found[0].stop, length)}
        assert found[0].stop <= largest
        assert all(one.start % 8 == 0 for one in found)
        kept = [pixel for one in found for pixel in range(one.first, one.last)]
        assert kept == list(range(length))
        for one in found:
            assert one.first - one.start >= margin or one.first == one.start == 0
            assert one.stop - one.last >= margin or one.last == one.stop == length
