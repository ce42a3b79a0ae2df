"""Shapes of voxels: `gans.latent_game` between networks of 3D convolutions.

A batch's `image` holds volumes [batch, x, y, z, 1] in {0, 1}; the generator makes volumes in [0, 1], whose voxels are
solid from 1/2 on. The latents of Wu et al. 2016, arXiv 1610.07584, have 200 components with a standard deviation of
0.33.
"""

import functools

from gans import latent_game
from gans.gan3d import networks

make = functools.partial(
    latent_game.make, networks, image_shape=(64, 64, 64, 1), latent_size=200, latent_deviation=0.33
)
