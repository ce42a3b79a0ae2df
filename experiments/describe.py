r"""Prints a config's networks layer by layer, and what a train step costs.

python -m experiments.describe --config=experiments/configs/inpainting.py [--json]
"""

import json

import jax
from absl import flags
from ml_collections import ConfigDict

from experiments import data, face_networks, graph, perceptual, rehearsal, runs
from experiments.commands import define_config, fitting, start
from experiments.work import products
from gans.core import Gan

CONFIG = define_config()
JSON = flags.DEFINE_bool("json", False, "Print {player: {'trainable': n, 'other': n}} only.")


def step_work(config: ConfigDict, gan: Gan, phase: str, frozen: dict | None) -> int:
    """See `products`, for one train step."""
    batch = data.example_batch(config, config.batch_size * gan.phases[phase].slices)
    state = jax.eval_shape(lambda: gan.phases[phase].enter(runs.initial(config, gan))).replace(frozen=frozen)
    return products(gan.phases[phase].step, state, batch, jax.random.key(0))


def untrained_networks(config: ConfigDict) -> dict | None:
    """The frozen networks that losses look through, with weights that have learned nothing: they cost as much."""
    if config.coefficients.get("content") is not None:
        return {"content": perceptual.find(config.perceptual.content, "random")[0]}
    if config.coefficients.get("identity") is not None:
        return {"face": face_networks.find("random")[0]}
    return None


def main() -> None:
    config = CONFIG.value
    with fitting("The config cannot be used"):
        rehearsal.check_numbers(config)
        gan = runs.build(config, axis=None)
        state = jax.eval_shape(lambda: runs.initial(config, gan))
    sizes = {name: graph.sizes(player) for name, player in state.players.items()}
    if JSON.value:
        print(json.dumps(sizes))
        return
    for player, rows in graph.layers(gan).items():
        print(f"{player}\n{'layer':32}{'kind':16}{'output':>20}{'parameters':>14}")
        for layer in rows:
            shape = " x ".join(map(str, layer.output))
            print(f"{layer.path:32}{layer.kind:16}{shape:>20}{layer.parameters:>14,}")
        print(f"trainable {sizes[player]['trainable']:,}, other {sizes[player]['other']:,}\n")
    frozen = untrained_networks(config)
    for phase in gan.phases:
        work = step_work(config, gan, phase, frozen) / 1e9
        print(f"one {phase} step of batch {config.batch_size}: {work:.2f} GFLOP in products and convolutions")


if __name__ == "__main__":
    start(main)
