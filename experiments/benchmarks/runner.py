r"""How much of the bare train step's rate is left in a run: logging, progress bar, batches and all.

    python -m experiments.benchmarks.runner --config=experiments/configs/inpainting.py [--pairs=10 --steps=30]

Both sides take the same steps on the same data, interleaved: the bare side calls the step compiled by `jax.jit` on
batches that are already on the device, the run's side is the training loop. Prints the median ratio and its spread, and
what share of their time the devices stand idle on either side, by a profile of one more pair.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import flags

from experiments import data, logs, runs, train
from experiments.benchmarks import idle
from experiments.commands import define_config, start
from gans import parallel

CONFIG = define_config()
PAIRS = flags.DEFINE_integer("pairs", 10, "Interleaved pairs of measurements.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 30, "Steps of one measurement.", lower_bound=1)


class _Calm:
    """Stands where a run looks for signals and saves checkpoints."""

    number = None

    @staticmethod
    def save(*state):
        """Leaves what is measured to the loop: a run saves at the end of a phase, and here that is soon."""


def bare_seconds(step, state, batches, key) -> float:
    """Seconds for the compiled step alone, once over the batches."""
    begin = time.perf_counter()
    for batch in batches:
        state, _ = step(state, batch, key)
    jax.block_until_ready(state)
    return time.perf_counter() - begin


def main() -> None:
    config, steps = CONFIG.value, STEPS.value
    config.checkpoint_every = config.sample_every = 10**9  # what is measured is the loop between them
    config.score_every = 0
    config.phases = {name: {"steps": 10**9} for name in config.phases}
    arrays = data.read(config)["train"]
    phase = next(iter(config.phases))
    gan, bare = runs.build(config), runs.build(config, axis=None)

    def fresh(gan):
        return parallel.replicate(train.enter(gan, phase, runs.initial(config, gan)))

    def batches():
        return data.train_batches(config, arrays, phase=0, start=0, slices=gan.phases[phase].slices)

    flat = [jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), batch) for batch in itertools.islice(batches(), steps)]
    step, key = jax.jit(bare.phases[phase].step, donate_argnums=0), runs.run_key(config)
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        with logs.Logs(workdir, 0, 10**9, config.log_every) as log:
            loop = train.Loop(config, workdir, gan, phase, log, _Calm, _Calm, None, None)
            source, state, at = batches(), fresh(gan), 0

            def run_loop():
                nonlocal state, at
                begin = time.perf_counter()
                state = jax.block_until_ready(loop.run(state, source, at, at + steps))
                at += steps
                return time.perf_counter() - begin

            def run_bare():
                return bare_seconds(step, fresh(bare), flat, key)

            run_bare(), run_loop()  # compiles
            ratios = [run_bare() / run_loop() for _ in range(PAIRS.value)]
            started = fresh(bare)
            idle_bare = idle.idle_share(lambda: bare_seconds(step, started, flat, key))
            idle_loop = idle.idle_share(run_loop)
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"run / bare step, {len(ratios)} pairs of {steps} steps: median {middle:.3f} (from {low:.3f} to {high:.3f})")
    print(f"devices idle, by a profile of {steps} steps: run {100 * idle_loop:.2f}%, bare step {100 * idle_bare:.2f}%")


if __name__ == "__main__":
    start(main)
