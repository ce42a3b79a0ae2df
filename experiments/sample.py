r"""Makes pictures from a run's newest checkpoint.

    python -m experiments.sample --workdir=runs/digits --count=64 --output=grid.png

Conditions (masked pictures, say) are taken evenly from the test split. With --output=FOLDER/ each picture is a file.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

from experiments import data, figures, runs, scoring
from experiments.commands import UsageError, start

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
COUNT = flags.DEFINE_integer("count", 64, "Number of pictures.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "What latents are drawn from.")
OUTPUT = flags.DEFINE_string("output", "samples.png", "A .png for a grid, or a folder for single pictures.")


def main() -> None:
    workdir, output = Path(WORKDIR.value), Path(OUTPUT.value)
    gan, state = runs.load(workdir)
    config, _ = runs.read_workdir(workdir)
    if "latent" in gan.inputs(1):
        inputs = scoring.numbered(gan, COUNT.value, config.model.classes)
    else:
        conditions = gan.inputs(1).keys()
        test = data.read(config)["test"]
        available = len(next(iter(test.values())))
        if COUNT.value > available:
            raise UsageError(f"--count={COUNT.value}: the test split has only {available} pictures to condition on.")
        examples = data.some_examples(config, test, COUNT.value)
        inputs = {name: examples[name] for name in conditions}
    made = jax.jit(gan.sample)(state, inputs, jax.random.key(SEED.value))
    images = np.asarray(next(iter(made.values())))
    if output.suffix.lower() == ".png":
        figures.write(output, figures.grid(images))
        print(f"{len(images)} pictures in {output}")
        return
    if output.suffix or (output.exists() and not output.is_dir()):
        raise UsageError(f"--output={output} is neither a .png nor a folder.")
    for index, image in enumerate(images):
        figures.write(output / f"{index:05d}.png", figures.grid(image[None]))
    print(f"{len(images)} files in {output}")


if __name__ == "__main__":
    start(main)
