r"""Convolutional GANs.

    python -m experiments.run --config=experiments/configs/dcgan.py:digits5k --workdir=runs/digits
    python -m experiments.run --config=experiments/configs/dcgan.py:conditional --workdir=runs/conditional
    python -m experiments.run --config=experiments/configs/dcgan.py:document --config.data.path=faces.npz --workdir=...

Presets, applied from left to right: `digits` (the document's recipe for 28x28), `document` (64x64 faces, from an .npz
that data_pipelines.prepare makes), `r3gan` (residual networks), the data `digits5k`, `mnist`, `fashion`, `cifar10`,
`stacked` (Stacked-MNIST), `conditional` (on class labels), the losses `minimax`, `non_saturating`, `least_squares`,
`hinge`, `relativistic`, `wgan_gp`, the techniques `feature_matching`, `minibatch`, `spectral`, `diffaugment`, and
`tiny` (a test in seconds). None: the generator of `digits` against a discriminator with a third convolution, under the
loss of `r3gan`, RpGAN + R1 + R2.
"""

import functools

from ml_collections import ConfigDict

from experiments import optimizers
from experiments.configs import _latent


def get_config(presets: str = "") -> ConfigDict:
    config = _latent.base("dcgan")
    digits(config)
    config.batch_size = 32
    config.phases.adversarial.steps = 3_000
    # The third convolution sees a digit whole: of two, the logits are a sum over patches.
    config.model.discriminator_options.update(channels=(32, 64, 128), dropout=0.0)
    config.model.adversarial = "relativistic"
    config.coefficients.update(r1=0.3, r2=0.3)
    config.optimizers.adversarial.generator.learning_rate = 2e-3
    config.optimizers.adversarial.discriminator.learning_rate = 8e-4
    return _latent.apply(config, presets, PRESETS)


def digits(config: ConfigDict) -> None:
    config.batch_size = 64
    config.phases.adversarial.steps = 2_500
    config.model.update(generator="Generator", discriminator="Discriminator", average_decay=0.995)
    config.model.generator_options = ConfigDict({"channels": (128, 64), "norm": "batch"})
    config.model.discriminator_options = ConfigDict(
        {
            "channels": (64, 128),
            "dropout": 0.3,
            "norm": "none",
            "spectral_norm": False,
            "minibatch_discrimination": False,
        }
    )
    config.model.adversarial = "non_saturating"
    config.coefficients.update(r1=None, r2=None)
    for player in config.optimizers.adversarial.values():
        player.learning_rate = 2e-4


def document(config: ConfigDict) -> None:
    config.data.name = "images"  # the user's own, in config.data.path
    config.judge = ConfigDict()  # nobody judges faces
    config.batch_size = 128
    config.model.update(generator="DocumentGenerator", discriminator="DocumentDiscriminator", average_decay=None)
    config.model.update(image_shape=(64, 64, 3), passes="turns", inference_fakes=True, adversarial="non_saturating")
    config.coefficients.update(r1=None, r2=None)
    config.model.update(real_label=(0.8, 1.0), fake_label=(0.0, 0.2))
    config.model.generator_options = ConfigDict({"norm": "batch"})
    config.model.discriminator_options = ConfigDict(
        {"dropout": 0.0, "spectral_norm": False, "minibatch_discrimination": False}
    )
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(
            5e-4, name="sgd", momentum=0.9, nesterov=True, b1=None, b2=None, eps=None
        )


def r3gan(config: ConfigDict) -> None:
    """Huang et al. 2025, arXiv 2501.05441, with few channels, and in one group: XLA is slow at several on CPUs."""
    config.batch_size = 64
    config.model.update(generator="ResidualGenerator", discriminator="ResidualDiscriminator", latent_size=64)
    config.model.update(adversarial="relativistic", average_decay=0.995)
    config.model.update(passes="separate", inference_fakes=False, real_label=(1.0, 1.0), fake_label=(0.0, 0.0))
    channels = (64, 32, 16) if config.model.image_shape[0] < 64 else (64, 64, 32, 16)
    for options in ("generator_options", "discriminator_options"):
        config.model[options] = ConfigDict({"channels": channels, "blocks": 1, "expansion": 2, "groups": 1})
    config.coefficients.update(r1=1.0, r2=1.0)
    for player in ("generator", "discriminator"):
        # Five times the paper's rate, for runs of thousands of steps, which large gradients would throw back.
        config.optimizers.adversarial[player] = optimizers.default(1e-3, warmup=300, clip_norm=1.0, b1=0.0, b2=0.99)


def _alone(config: ConfigDict, loss: str) -> None:
    """The loss without penalties where batch norm can stand in for them."""
    config.model.adversarial = loss
    if "norm" in config.model.discriminator_options:
        # Without it the logits of real and generated pictures swing together, now above 0 and now below.
        config.model.discriminator_options.norm = "batch"
        config.coefficients.update(r1=None, r2=None)


def minimax(config: ConfigDict) -> None:
    """With the penalties: without them the discriminator wins, and a generator under this loss learns nothing more."""
    config.model.adversarial = "minimax"


def wgan_gp(config: ConfigDict) -> None:
    """A penalty on each picture's own gradient forbids batch norm (arXiv 1704.00028, section 4)."""
    _latent.wgan_gp(config)
    config.coefficients.update(r1=None, r2=None)
    _without_norm(config)


def spectral(config: ConfigDict) -> None:
    """Instead of other norms, as in arXiv 1802.05957."""
    _latent.spectral(config)
    _without_norm(config)


def _without_norm(config):
    if "norm" in config.model.discriminator_options:
        config.model.discriminator_options.norm = "none"


def diffaugment(config: ConfigDict) -> None:
    config.model.augmentation = ("color", "translation", "cutout")


LOSSES = ("non_saturating", "least_squares", "hinge", "relativistic")
OWN = (digits, document, r3gan, minimax, wgan_gp, spectral, diffaugment)
PRESETS = (
    _latent.SHARED
    | {preset.__name__: preset for preset in OWN}
    | {loss: functools.partial(_alone, loss=loss) for loss in LOSSES}
)
