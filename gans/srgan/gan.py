"""Super-resolution: `gans.restoration_game` between its networks."""

import functools

from gans import restoration_game
from gans.srgan import networks

make = functools.partial(restoration_game.make, networks)
