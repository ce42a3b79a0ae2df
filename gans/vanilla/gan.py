"""The simple GAN: `gans.latent_game` between dense networks."""

import functools

from gans import latent_game
from gans.vanilla import networks

make = functools.partial(latent_game.make, networks)
