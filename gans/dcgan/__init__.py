"""Convolutional GANs: DCGAN (Radford et al. 2015, arXiv 1511.06434) and residual ones (R3GAN, arXiv 2501.05441)."""

from gans.dcgan.gan import make

__all__ = ["make"]
