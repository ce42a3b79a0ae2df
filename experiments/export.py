r"""Writes a run's generator, weights included, as one file for programs that have only JAX.

    python -m experiments.export --workdir=runs/digits --output=generator.bin
    python -m experiments.export --workdir=runs/digits --output=generator.bin --platforms=cuda

The reading program needs the packages jax and flatbuffers; it is printed. JAX promises that its releases of the
following 6 months can read the file: keep the workdir, to export it anew. See `gans.export`.
"""

from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments import runs
from experiments.commands import UsageError, check_output, define_best, start, whole_file
from gans import export

WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the run.", required=True)
BEST = define_best()
OUTPUT = flags.DEFINE_string("output", None, "The file to write.", required=True)
PLATFORMS = flags.DEFINE_list(
    "platforms", ["cpu", "cuda", "tpu"], f"Where the file can run, some of {', '.join(export.PLATFORMS)}."
)
COUNT = 16  # samples that the printed program makes


class Argument(NamedTuple):
    """An input of the generator: what values it takes, and an expression that makes some for COUNT examples."""

    values: str
    example: str


def argument(name: str, shape: tuple[int, ...], classes: int) -> Argument:
    """The input `name` of a generator, [COUNT, ...]; what is neither a latent nor a label is a picture."""
    match name:
        case "latent":
            return Argument("drawn from N(0, 1)", f"np.random.default_rng(0).standard_normal({shape}, np.float32)")
        case "label":
            return Argument(f"0 to {classes - 1}", f"np.arange({COUNT}, dtype=np.int32) % {classes}")
        case "masked":
            return Argument("pictures in [-1, 1], -1 where unknown", f"np.full({shape}, -1, np.float32)")
    return Argument("pictures in [-1, 1]", f"np.random.default_rng(0).uniform(-1, 1, {shape}).astype(np.float32)")


def program(path: Path, arguments: dict[str, Argument]) -> str:
    """A Python program that runs the written generator."""
    made = "\n".join(f"{name} = {one.example}" for name, one in arguments.items())
    return f"""\
import jax
import numpy as np
from jax import export

with open({str(path)!r}, "rb") as file:
    generator = jax.jit(export.deserialize(bytearray(file.read())).call)
{made}
samples = generator({", ".join(arguments)})
print({{name: images.shape for name, images in samples.items()}})"""


def main() -> None:
    workdir, output = Path(WORKDIR.value), Path(OUTPUT.value)
    check_output(output)
    gan, state = runs.load(workdir, best=BEST.value)
    config, _ = runs.read_workdir(workdir)
    try:
        content = export.generator(gan, state, PLATFORMS.value)
    except ValueError as error:
        raise UsageError(error) from error
    with whole_file(output) as file:
        file.write(content)
    shapes = gan.inputs(COUNT)
    classes = config.model.get("classes", 0)
    arguments = {name: argument(name, shape.shape, classes) for name, shape in shapes.items()}
    print(f"step {int(state.step)} of {workdir} in {output}, {len(content):,} bytes, for {', '.join(PLATFORMS.value)}")
    for name, one in arguments.items():
        size = ", ".join(map(str, ("batch", *shapes[name].shape[1:])))
        print(f"  {name}: {shapes[name].dtype} [{size}], {one.values}")
    made = "volumes in [0, 1]" if len(config.model.get("image_shape", ())) == 4 else "images in [-1, 1]"
    print(f"It returns {{name: {made}}}. Where jax and flatbuffers are:\n\n{program(output, arguments)}")


if __name__ == "__main__":
    start(main)
