"""The simple GAN of dense layers (Goodfellow et al. 2014, arXiv 1406.2661)."""

from gans.vanilla.gan import make

__all__ = ["make"]
