"""Restoring masked digits: see `make`."""

from gans.inpainting.gan import make

__all__ = ["make"]
