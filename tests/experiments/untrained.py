"""A run's workdir as training leaves it, without any training."""

import jax

from experiments import runs
from experiments.checkpoints import Checkpoints
from tests.gans.filled import filled


def write(workdir, config):
    """Writes a checkpoint of networks with arbitrary weights; returns the `Gan` and its state."""
    gan = runs.build(config, axis=None)
    phase = next(iter(gan.phases))
    state = filled(jax.eval_shape(lambda: gan.phases[phase].enter(runs.initial(config, gan))))
    runs.record_run(workdir, config, {})
    with Checkpoints(workdir / "checkpoints", None) as checkpoints:
        checkpoints.save(0, jax.device_put(state), {"phase": phase})
    return gan, state
