"""Removing blur: `gans.restoration_game` between image-to-image networks."""

import functools

from gans import restoration_game
from gans.deblur import networks

make = functools.partial(restoration_game.make, networks)
