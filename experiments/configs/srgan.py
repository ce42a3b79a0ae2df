r"""Super-resolution of photographs.

    python -m experiments.run --config=experiments/configs/srgan.py --workdir=runs/srgan
    python -m experiments.run --config=experiments/configs/srgan.py:folder --config.data.path=FOLDER --workdir=...
    python -m experiments.run --config=experiments/configs/srgan.py:document,folder --config.data.path=FOLDER ...

Presets, applied from left to right: `document` (the faithful networks and recipe, 64x64 to 256x256), `paper` (Ledig et
al. 2017, arXiv 1609.04802), `x2` (twice as large instead of four times), `least_squares`, `folder` (any folder of
photographs), `tiny` (a test in seconds). None: a small network for two cores, x4, on the photographs inside
scikit-image and scikit-learn.
"""

from ml_collections import ConfigDict

from experiments import optimizers
from experiments.configs import _restoration


def get_config(presets: str = "") -> ConfigDict:
    config = _restoration.base("srgan")
    config.data.maps = ("degrade.random_crop", "degrade.flip_and_turn", "images.scale", "degrade.downsample")
    config.data.evaluation_maps = ("images.scale", "degrade.downsample")
    config.data.downsample = {"factor": 4}
    config.model.scale = 4
    config.model.generator_options = ConfigDict(
        {"channels": 48, "blocks": 8, "scale": 4, "norm": False, "residual": True}
    )
    config.model.discriminator_options = ConfigDict(
        {"channels": (32, 64, 128, 256), "norm": False, "spectral_norm": False}
    )
    config.coefficients.update(pixel=1.0, content=1.0, adversarial=5e-3)
    config.phases.pretrain.steps = 3_000
    config.phases.adversarial.steps = 1_500
    return _restoration.apply(config, presets, PRESETS)


def document(config: ConfigDict) -> None:
    config.batch_size = 1
    config.data.random_crop.size = 256
    config.data.maps = ("degrade.random_crop", "images.flip_horizontal", "images.scale", "degrade.downsample")
    config.model.update(image_shape=(256, 256, 3), average_decay=None, adversarial="non_saturating")
    config.model.update(generator="DocumentGenerator", discriminator="DocumentDiscriminator")
    config.model.update(passes="turns", fresh=True, inference_fakes=True)
    config.model.generator_options = ConfigDict({"scale": config.model.scale})
    config.model.discriminator_options = ConfigDict()
    config.coefficients.update(pixel=None, content=1.0, adversarial=1e-3)
    config.perceptual.update(content="vgg19", raw=True)
    config.phases.pretrain.steps = 0
    config.phases.adversarial.steps = 20_000
    config.sample_every = 100
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(2e-4, b1=0.5, eps=1e-7)


def paper(config: ConfigDict) -> None:
    """VGG54, see section 2.2.1; features are scaled by 1 / 12.75, section 3.2."""
    config.model.update(average_decay=None, adversarial="non_saturating", content_layers=("block5_conv4",))
    config.model.generator_options.update(channels=64, blocks=16, norm=True, residual=False)
    config.model.discriminator_options.update(channels=(64, 128, 256, 512), norm=True)
    config.coefficients.update(pixel=None, content=1 / 12.75**2, adversarial=1e-3)
    config.perceptual.content = "vgg19"
    config.phases.pretrain.steps = 1_000_000
    config.phases.adversarial.steps = 200_000
    config.optimizers.pretrain.generator = optimizers.default(1e-4)
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(1e-4, schedule="linear", final_fraction=0.1)


def x2(config: ConfigDict) -> None:
    config.data.downsample.factor = config.model.scale = config.model.generator_options.scale = 2


def least_squares(config: ConfigDict) -> None:
    config.model.adversarial = "least_squares"


def folder(config: ConfigDict) -> None:
    config.data.name = "photo_folder"


def tiny(config: ConfigDict) -> None:
    _restoration.tiny(config)
    config.data.update(cell=64, held_out=("rocket",))
    config.data.random_crop.size = 32
    config.model.image_shape = (32, 32, 3)
    config.model.generator_options.update(channels=4, blocks=1)
    config.model.discriminator_options.channels = (4, 8)


PRESETS = {preset.__name__: preset for preset in (document, paper, x2, least_squares, folder, tiny)}
