r"""Whether a long run's memory grows, with metrics, pictures and checkpoints all the while (Linux).

    python -m experiments.benchmarks.memory --config=experiments/configs/vanilla.py:tiny [--steps=10000]

The run is an ordinary one in a folder that is thrown away. Its resident memory is looked at twice a second; printed are
the medians of the second and the last fifth of the looks, between which nothing new should have to be kept.
"""

import os
import statistics
import tempfile
import threading
from pathlib import Path

from absl import flags

from experiments import train
from experiments.commands import define_config, start

CONFIG = define_config()
STEPS = flags.DEFINE_integer("steps", 10_000, "Steps of the run.", lower_bound=100)


def resident() -> float:
    """Megabytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    config, steps = CONFIG.value, STEPS.value
    phase = next(iter(config.phases))
    config.phases = {name: {"steps": steps if name == phase else 0} for name in config.phases}
    config.log_every = config.steps_per_dispatch
    config.checkpoint_every = config.sample_every = max(1, steps // 100) * config.steps_per_dispatch
    config.score_every = config.keep_every = 0

    looks, ended = [], threading.Event()

    def look():
        while not ended.wait(0.5):
            looks.append(resident())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            train.train(config, Path(folder, "run"))
    finally:
        ended.set()
        thread.join()
    fifth = max(1, len(looks) // 5)
    early, late = statistics.median(looks[fifth : 2 * fifth] or looks), statistics.median(looks[-fifth:])
    print(f"{steps:,} steps, {len(looks)} looks: {early:,.0f} MB in the second fifth, {late:,.0f} MB in the last")
    print(f"{100 * (late / early - 1):+.1f}%, and {max(looks):,.0f} MB at most")


if __name__ == "__main__":
    start(main)
