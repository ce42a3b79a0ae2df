r"""The convolutions of 3D-GAN one by one on the CPU: `gans.volumes` beside XLA's own and PyTorch's.

    python -m experiments.benchmarks.volumes [--channels=256,128,64 --batch_size=4]

Printed are GFLOP/s at the median of the turns, which the sides take one after another, counted as a direct convolution
has them: the fast algorithm does with fewer. PyTorch's tensors are channels_last_3d. `backward` is both gradients. A
whole train step is a row of `experiments.benchmarks.train_step`. Needs PyTorch: pip install -e '.[bench]'.
"""

import statistics

import jax
from absl import flags

from experiments.benchmarks.peers.volumes import sides_of_a_layer
from experiments.benchmarks.turns import measure
from experiments.commands import UsageError, start

CHANNELS = flags.DEFINE_list("channels", ["256", "128", "64"], "Of the generator's maps from 4^3 on; 3 make 32^3.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Volumes.", lower_bound=1)
TURNS = flags.DEFINE_integer("turns", 10, "Turns of each side.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 0.2, "About how long a turn lasts.", lower_bound=0.0)


def report(channels: tuple[int, ...]) -> None:
    """Prints the table."""
    batch_size = BATCH_SIZE.value
    names = ("ours", "XLA's own", "torch")
    print(f"| convolution, {batch_size} volumes | | {' | '.join(names)} |\n| --- | --- | --- | --- | --- |")
    for index, (wide, narrow) in enumerate(zip(channels, (*channels[1:], 1), strict=True)):
        side = 4 * 2**index
        work = 2 * batch_size * side**3 * 64 * wide * narrow / 1e9
        for kind, small, large in (("double", "", " to "), ("halve", " from ", "")):
            between = f"{wide} x {side}^3{large or small}{narrow} x {2 * side}^3"
            for way, sides in sides_of_a_layer(kind, batch_size, side, wide, narrow).items():
                found = measure(sides, TURNS.value, SECONDS.value)
                done = work if way == "forward" else 2 * work
                rates = " | ".join(f"{done / statistics.median(found[name]):.1f}" for name in names)
                print(f"| `{kind}`, {between} | {way} | {rates} |", flush=True)


def main() -> None:
    if jax.default_backend() != "cpu":
        raise UsageError("This benchmark is of the CPU: set JAX_PLATFORMS=cpu.")
    if not all(number.isdecimal() and int(number) for number in CHANNELS.value):
        raise UsageError(f"--channels={','.join(CHANNELS.value)}: give numbers such as 256,128,64.")
    report(tuple(map(int, CHANNELS.value)))


if __name__ == "__main__":
    start(main)
