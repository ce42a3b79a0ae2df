"""Restoring masked digits: see `make`."""

from gans.inpainting.gan import COEFFICIENTS, make

__all__ = ["COEFFICIENTS", "make"]
