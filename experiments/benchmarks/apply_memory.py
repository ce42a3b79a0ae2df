r"""The most memory that `experiments.apply` ever holds while it restores one large photograph.

    python -m experiments.benchmarks.apply_memory --workdir=runs/srgan [--megapixels=24 --suffix=.jpg --compare]

The photograph is made here, 3:2, and restored by the command in a process of its own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from experiments.commands import start

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of a run on photographs.", required=True)
MEGAPIXELS = flags.DEFINE_float("megapixels", 24, "Of the photograph.", lower_bound=0.001)
SUFFIX = flags.DEFINE_string("suffix", ".png", "Format of the restored photograph.")
COMPARE = flags.DEFINE_bool("compare", False, "With the source beside it.")


def main() -> int:
    height = round((MEGAPIXELS.value * 1e6 / 1.5) ** 0.5)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "photo.png"), Path(folder, f"restored{SUFFIX.value}")
        rough = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
        Image.fromarray(rough).resize((round(1.5 * height), height), Image.Resampling.BICUBIC).save(source)
        arguments = [f"--workdir={WORKDIR.value}", f"--input={source}", f"--output={target}"]
        arguments += ["--compare"] * COMPARE.value
        begin = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "experiments.apply", *arguments])
        seconds = time.perf_counter() - begin
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{MEGAPIXELS.value:g} megapixels, {SUFFIX.value}: at most {peak / 1e9:.2f} GB resident, {seconds:.0f} s")
    return done.returncode


if __name__ == "__main__":
    start(main)
