r"""The simple GAN of dense layers.

    python -m experiments.run --config=experiments/configs/vanilla.py --workdir=runs/vanilla
    python -m experiments.run --config=experiments/configs/vanilla.py:document,mnist --workdir=runs/document

Presets, applied from left to right: `document` (500-500), `deep` (four dense layers each), the data `digits5k`,
`mnist`, `fashion`, `conditional` (on class labels), the techniques `feature_matching`, `minibatch`, `spectral`,
`wgan_gp`, and `tiny` (a test in seconds). None: the deep networks on digits5k, with batch norm in the generator, under
the loss of `dcgan.py:r3gan`, RpGAN + R1 + R2.
"""

from ml_collections import ConfigDict

from experiments import optimizers
from experiments.configs import _latent


def get_config(presets: str = "") -> ConfigDict:
    config = _latent.base("vanilla")
    config.phases.adversarial.steps = 3_000
    config.model.generator_options.norm = "batch"
    config.model.discriminator_options.update(dropout=0.0, spectral_norm=False, minibatch_discrimination=False)
    deep(config)
    config.model.update(adversarial="relativistic", average_decay=0.995)
    config.coefficients.update(r1=0.3, r2=0.3)
    config.optimizers.adversarial.generator.learning_rate = 1e-3
    config.optimizers.adversarial.discriminator.learning_rate = 4e-4
    return _latent.apply(config, presets, PRESETS)


def deep(config: ConfigDict) -> None:
    config.model.generator_options.hidden = (256, 512, 1024)
    config.model.discriminator_options.hidden = (1024, 512, 256)


def document(config: ConfigDict) -> None:
    config.model.generator_options.update(hidden=(500, 500), norm="none")
    config.model.discriminator_options.hidden = (500, 500)
    config.model.update(passes="mixed", inference_fakes=True, adversarial="non_saturating", average_decay=None)
    config.coefficients.update(r1=None, r2=None)
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(1e-3, eps=1e-7)  # Keras' Adam


def wgan_gp(config: ConfigDict) -> None:
    _latent.wgan_gp(config)
    config.coefficients.update(r1=None, r2=None)


PRESETS = {name: preset for name, preset in _latent.SHARED.items() if name not in ("cifar10", "stacked")} | {
    "deep": deep,
    "document": document,
    "wgan_gp": wgan_gp,
}
