"""3D-GAN: shapes of voxels from latents. Wu et al. 2016, arXiv 1610.07584."""

from gans.gan3d.gan import make

__all__ = ["make"]
