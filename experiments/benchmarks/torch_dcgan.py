r"""The recipe of PyTorch's own DCGAN tutorial, in PyTorch, on our data and before our judge.

    python -m experiments.benchmarks.torch_dcgan --config=experiments/configs/dcgan.py:mnist --workdir=runs/torch

The recipe (docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html, after Radford et al. 2015, arXiv 1511.06434):
4x4 convolutions without bias, batch norm, ReLU and leaky ReLU 0.2, latents of 100, weights drawn from N(0, 0.02) and
batch norm's scales from N(1, 0.02), binary cross-entropy, Adam 2e-4 (0.5, 0.999), one turn of the discriminator on
real and then on generated pictures, one of the generator on the same latents. The config gives data, judge, seed, batch
size, steps and the sentinel's settings; what else it says of networks, losses and optimizers is not read. A run has no
checkpoints: starting again is starting anew. Needs PyTorch: pip install -e '.[bench]'.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from absl import flags
from ml_collections import ConfigDict
from torch import nn

from experiments import data, figures, logs, scoring, train
from experiments.commands import define_config, fail, start
from experiments.sentinel import Collapsed
from gans.core import Gan, new_state
from gans.frozen.compare import compare

CONFIG = define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.", required=True)
SIZE = flags.DEFINE_enum("size", "64", ["64", "32"], "Side of the networks' pictures; 64 is the tutorial's.")

LATENT = 100
WIDTH = 64
# Channels of the maps in units of WIDTH, coarsest first. At 32 the widest stage of each network is dropped.
STAGES = {64: (8, 4, 2, 1), 32: (4, 2, 1)}


class Player(NamedTuple):
    """A network and its optimizer."""

    network: nn.Module
    optimizer: torch.optim.Optimizer


def generator(size: int, channels: int) -> nn.Sequential:
    """Latents [batch, 100, 1, 1] to pictures [batch, channels, size, size] in [-1, 1].

    3,576,704 parameters for size 64 and 3 channels. Sizes: 64, and 32 with one stage less.
    """
    layers, before = [], LATENT
    for stage in STAGES[size]:
        stride, padding = (1, 0) if not layers else (2, 1)
        convolution = nn.ConvTranspose2d(before, stage * WIDTH, 4, stride, padding, bias=False)
        layers += [convolution, nn.BatchNorm2d(stage * WIDTH), nn.ReLU(inplace=True)]
        before = stage * WIDTH
    layers += [nn.ConvTranspose2d(before, channels, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers).apply(initialise)


def discriminator(size: int, channels: int) -> nn.Sequential:
    """Pictures [batch, channels, size, size] in [-1, 1] to logits [batch]; the sigmoid is the loss's.

    2,765,568 parameters for size 64 and 3 channels. Sizes: 64, and 32 with one stage less.
    """
    layers, before = [], channels
    for stage in reversed(STAGES[size]):
        norm = [nn.BatchNorm2d(stage * WIDTH)] if layers else []
        layers += [nn.Conv2d(before, stage * WIDTH, 4, 2, 1, bias=False), *norm, nn.LeakyReLU(0.2, inplace=True)]
        before = stage * WIDTH
    layers += [nn.Conv2d(before, 1, 4, 1, 0, bias=False), nn.Flatten(0)]
    return nn.Sequential(*layers).apply(initialise)


def initialise(module: nn.Module) -> None:
    """Draws the weights of one layer anew, as in Radford et al. 2015, section 4."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def to_networks(images: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures [batch, channels, side, side] in [-1, 1] at the networks' size: 64 stretched, 32 with a black frame."""
    if size == 64:
        return _stretched(images, size)
    margin = (size - images.shape[-1]) // 2
    return F.pad(images, (margin,) * 4, value=-1.0)


def to_judge(images: torch.Tensor, side: int) -> torch.Tensor:
    """The way back from the networks' size: pictures [batch, channels, side, side] in [-1, 1]."""
    size = images.shape[-1]
    if size == 64:
        return _stretched(images, side)
    margin = (size - side) // 2
    return images[:, :, margin : margin + side, margin : margin + side]


def _stretched(images, side):
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def step(generator: Player, discriminator: Player, real: torch.Tensor) -> dict[str, float]:
    """One turn of each player on real pictures [batch, channels, size, size]: the metrics of our own runs, by name."""
    fakes = generator.network(torch.randn(len(real), LATENT, 1, 1, device=real.device))

    discriminator.optimizer.zero_grad()
    on_real, on_fake = discriminator.network(real), discriminator.network(fakes.detach())
    judging = _cross_entropy(on_real, 1.0) + _cross_entropy(on_fake, 0.0)
    judging.backward()
    discriminator.optimizer.step()

    generator.optimizer.zero_grad()
    making = _cross_entropy(discriminator.network(fakes), 1.0)
    making.backward()
    generator.optimizer.step()

    metrics = {
        "discriminator/loss": judging,
        "generator/loss": making,
        "discriminator/accuracy_real": (on_real > 0).float().mean(),
        "discriminator/accuracy_fake": (on_fake < 0).float().mean(),
        "generator/diversity": _spread(fakes) / (_spread(real) + 1e-6),
    }
    # Stacked, since each fetch alone would wait for the device.
    return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))


def _cross_entropy(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _spread(images):
    return images.detach().std(0, correction=0).mean()


@torch.no_grad()
def sample(network: nn.Module, count: int, side: int) -> np.ndarray:
    """Pictures [count, side, side, channels] in [-1, 1], float32.

    The network stays in training mode, as the tutorial leaves it: batch norm sees the pictures of one batch.
    """
    device, parts = next(network.parameters()).device, []
    for first in range(0, count, scoring.BATCH):
        latents = torch.randn(min(scoring.BATCH, count - first), LATENT, 1, 1, device=device)
        parts.append(to_judge(network(latents), side).permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def run(config: ConfigDict, workdir: Path, size: int) -> str:
    """Trains and scores from the start, into the workdir's metrics.jsonl, scores.json and samples/final.png.

    Args:
      config: as experiments/configs/dcgan.py returns it, for a data set with a judge of its own.
      workdir: the run's folder; made if it does not exist.
      size: side of the networks' pictures, 64 or 32.

    Returns:
      A table of the scores, to be printed.

    Raises:
      logs.Diverged: if a loss is not finite any more.
      sentinel.Collapsed: if the players are out of balance and the config asks to stop then.
    """
    config.data.loader = "memory"  # TensorFlow's threads would only be in PyTorch's way
    torch.manual_seed(config.seed)
    splits = data.read(config)
    frozen, record = scoring.frozen_networks(config, splits["train"])
    workdir.mkdir(parents=True, exist_ok=True)
    network = fit(config, workdir, size, splits["train"])
    steps, test = config.phases.adversarial.steps, splits["test"]
    made = sample(network, len(test["image"]), config.model.image_shape[0])

    def evaluate(state, batch, key):
        del key
        return compare(state.frozen, batch["image"], batch["generated"])

    # The samples travel with the pictures they stand beside, so that our own scoring sees them as any family's.
    judged = Gan(None, {}, None, lambda count: {"latent": None}, evaluate)
    state = new_state({}, frozen).replace(step=steps)
    scores = scoring.scores(config, judged, state, record, {**test, "generated": made})
    figures.write(workdir / "samples" / "final.png", figures.grid(figures.to_uint8(made[: config.pictures])))
    scoring.write_scores(workdir, scores)
    return scoring.table(scores)


def fit(config: ConfigDict, workdir: Path, size: int, arrays: data.Arrays) -> nn.Module:
    """The generator after the config's steps on the training split, in the order of our own runs."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    players = []
    for make in (generator, discriminator):
        network = make(size, config.model.image_shape[-1]).to(device)
        players.append(Player(network, torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))))
    steps = config.phases.adversarial.steps
    batches = data.train_batches(config, arrays, phase=0, start=0, slices=1)
    with logs.Logs(workdir, 0, steps, config.log_every, train.watching(config)) as log:
        for index in range(steps):
            batch = next(batches)["image"]
            images = torch.tensor(batch.reshape(-1, *batch.shape[2:])).permute(0, 3, 1, 2)
            log.metrics(index + 1, step(*players, to_networks(images.to(device), size)))
    return players[0].network


def main() -> None:
    # JAX would else take most of a GPU's memory for the judge alone.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        print(run(CONFIG.value, Path(WORKDIR.value), int(SIZE.value)))
    except (logs.Diverged, Collapsed) as error:
        fail(error, status=1)


if __name__ == "__main__":
    start(main)
