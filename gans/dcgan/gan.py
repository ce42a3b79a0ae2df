"""Convolutional GANs: `gans.latent_game` between convolutional networks."""

import functools

from gans import latent_game
from gans.dcgan import networks

make = functools.partial(latent_game.make, networks)
