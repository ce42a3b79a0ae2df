r"""Images a second on one device of this machine, on two, on four, ..., and on all of them.

    python -m experiments.benchmarks.devices --config=experiments/configs/dcgan.py [--turns=10 --seconds=1]
    JAX_NUM_CPU_DEVICES=2 python -m experiments.benchmarks.devices --config=...

Each device has a batch of the config's size, so the work a device does stays the same (weak scaling); the efficiency is
the rate a device, as a share of that of one device alone: medians, and from the least to the largest, of sides that
take turns. Batches travel from the host at each step, as in a run. CPU devices share the same cores: two of them show
what a second device costs, not what it gains.
"""

import statistics
from collections.abc import Callable

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from experiments import data, runs, train
from experiments.benchmarks import turns
from experiments.commands import define_config, start
from gans import parallel

CONFIG = define_config()
TURNS = flags.DEFINE_integer("turns", 10, "Turns of each side.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 1, "Time for one turn.", lower_bound=0.0)


def counts(available: int) -> list[int]:
    """Powers of two below the number of devices, and that number."""
    return [2**power for power in range(available.bit_length()) if 2**power < available] + [available]


def stepper(config: ConfigDict, count: int) -> Callable[[], object]:
    """A call that takes one step of the first phase on `count` devices and waits for it."""
    gan, devices = runs.build(config), jax.local_devices()[:count]
    name, phase = next(iter(gan.phases.items()))
    state = train.enter(gan, name, runs.initial(config, gan))
    step = parallel.data_parallel(phase.step, runs.AXIS, devices)
    example = data.example_batch(config, config.batch_size * phase.slices)
    batch = {key: np.stack([leaf] * count) for key, leaf in example.items()}
    held, key = [parallel.replicate(state, devices)], runs.run_key(config)

    def call():
        state, metrics = step(held.pop(), batch, key)
        held.append(state)
        return jax.block_until_ready(metrics)

    return call


def main() -> None:
    config = CONFIG.value
    sides = {str(count): stepper(config, count) for count in counts(jax.local_device_count())}
    times = turns.measure(sides, TURNS.value, SECONDS.value)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {config.batch_size} examples a device and step\n")
    print("| devices | images/s | efficiency |\n| ---: | ---: | ---: |")
    for name, own in times.items():
        shares = [alone / here for alone, here in zip(times["1"], own, strict=True)]
        rate = int(name) * config.batch_size / statistics.median(own)
        print(f"| {name} | {rate:.4g} | {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) |")


if __name__ == "__main__":
    start(main)
