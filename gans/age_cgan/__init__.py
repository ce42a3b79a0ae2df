"""Ageing faces: Age-cGAN (Antipov et al. 2017, arXiv 1702.01983)."""

from gans.age_cgan.gan import make

__all__ = ["make"]
