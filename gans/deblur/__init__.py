"""Removing blur from photographs, after DeblurGAN (Kupyn et al. 2018, arXiv 1711.07064) and the document's own GAN."""

from gans.deblur.gan import make

__all__ = ["make"]
