r"""Prints a config's networks layer by layer, and what a train step costs.

python -m experiments.describe --config=experiments/configs/inpainting.py [--json]
"""

import json

import jax
from absl import flags
from ml_collections import ConfigDict

from experiments import data, face_networks, graph, perceptual, rehearsal, runs
from experiments.commands import define_config, fitting, start
from gans.core import Gan

CONFIG = define_config()
JSON = flags.DEFINE_bool("json", False, "Print {player: {'trainable': n, 'other': n}} only.")


def step_cost(config: ConfigDict, gan: Gan, phase: str, frozen: dict | None) -> tuple[float, float]:
    """Floating-point operations and bytes moved by one train step, as XLA estimates them for this platform."""
    batch = data.example_batch(config, config.batch_size * gan.phases[phase].slices)
    state = jax.eval_shape(lambda: gan.phases[phase].enter(runs.initial(config, gan))).replace(frozen=frozen)
    compiled = jax.jit(gan.phases[phase].step).lower(state, batch, jax.random.key(0)).compile()
    cost = compiled.cost_analysis()
    return cost["flops"], cost["bytes accessed"]


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
        flops, moved = step_cost(config, gan, phase, frozen)
        cost = f"{flops / 1e9:.2f} GFLOP, {moved / 1e9:.2f} GB accessed"
        print(f"one {phase} step of batch {config.batch_size}, as XLA estimates it: {cost}")


if __name__ == "__main__":
    start(main)
