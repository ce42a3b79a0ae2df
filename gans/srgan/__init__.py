"""Super-resolution of photographs: SRGAN (Ledig et al. 2017, arXiv 1609.04802)."""

from gans.srgan.gan import make

__all__ = ["make"]
