"""A trained generator as one file that needs neither this package nor Flax to run."""

from collections.abc import Sequence

import jax
from jax import export

from gans.core import Gan, State

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def generator(gan: Gan, state: State, platforms: Sequence[str] = ("cpu", "cuda", "tpu")) -> bytearray:
    """What makes samples, `gan.sample` with its weights inside, as StableHLO that `jax.export.deserialize` reads.

    JAX promises that releases of the following 6 months can read such a file, and releases from up to 3 weeks before:
    keep the checkpoint, to export it anew. The promise is in
    https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees.

    Args:
      gan: of any family.
      state: holds the generator.
      platforms: where the file can run, some of PLATFORMS; none of them has to be present here.

    Returns:
      A serialized function of the arrays that `gan.inputs` names, in that order, for any number of examples. It returns
      what `gan.sample` does, {name: images}. The size is about that of the generator's variables.

    Raises:
      ValueError: for another platform or none, or a network with operations that JAX does not promise to keep readable.
    """
    if not platforms or set(platforms) - set(PLATFORMS):
        raise ValueError(f"platforms={','.join(platforms)}: choose some of {', '.join(PLATFORMS)}.")
    (batch,) = export.symbolic_shape("batch")
    shapes = gan.inputs(batch)

    def sample(*inputs):
        # Latents are among the inputs, so that the key draws nothing.
        return gan.sample(state, dict(zip(shapes, inputs, strict=True)), jax.random.key(0))

    return export.export(jax.jit(sample), platforms=tuple(platforms))(*shapes.values()).serialize()
