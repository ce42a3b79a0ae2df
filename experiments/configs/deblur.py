r"""Removing blur from photographs.

    python -m experiments.run --config=experiments/configs/deblur.py --workdir=runs/deblur
    python -m experiments.run --config=experiments/configs/deblur.py:pairs --config.data.path=FOLDER --workdir=...

Presets, applied from left to right: `document` (the faithful networks and recipe, which make pictures from noise and
have nothing to apply to a photograph), `wgan_gp` (losses of Kupyn et al. 2018, arXiv 1711.07064), `small` (milder blur
without noise, for two cores), `folder` (any folder of sharp photographs), `pairs` (folders of blurred and sharp ones),
`certh` (the CERTH image blur set), `tiny` (a test in seconds). None: our network on defocus, motion and Gaussian blur
of the photographs inside scikit-image and scikit-learn.
"""

from ml_collections import ConfigDict

from experiments import optimizers
from experiments.configs import _latent, _restoration


def get_config(presets: str = "") -> ConfigDict:
    config = _restoration.base("deblur")
    config.data.maps = ("degrade.random_crop", "degrade.flip_and_turn", "images.scale", "degrade.blur")
    config.data.evaluation_maps = ("images.scale", "degrade.blur")
    config.data.blur = {
        "kinds": ("defocus", "line", "trajectory", "gaussian"),
        "size": 33,  # side of the kernels, pixels; 16 are lost at each side of a picture
        "radius": (1.0, 7.0),  # pixels, as are these:
        "length": (5.0, 32.0),
        "sigma": (0.5, 4.0),
        "noise": (0.0, 2.0),  # of 255
        "jpeg": (),  # lowest and highest quality
    }
    config.data.cell = 320  # 2 (crop - 1) or more, so that crops reach every place
    config.data.random_crop.size = 128 + 32
    config.model.update(image_shape=(128, 128, 3), pixel="l1")
    config.model.generator_options = ConfigDict({"channels": (32, 64, 128), "blocks": 6})
    config.model.discriminator_options = ConfigDict({"channels": (32, 64, 128, 256), "spectral_norm": False})
    config.coefficients.update(pixel=1.0, content=0.1, adversarial=5e-3)
    config.phases.pretrain.steps = 4_000
    config.phases.adversarial.steps = 1_000
    return _restoration.apply(config, presets, PRESETS)


def document(config: ConfigDict) -> None:
    """Pictures in [-1, 1], where the document takes (x - mean) / 255."""
    cells = config.data
    with config.unlocked():
        del config.perceptual, config.evaluation_batch
        latent = _latent.base("deblur.document")
        for name in ("model", "coefficients", "optimizers", "phases", "judge", "features", "collapse"):
            config[name] = latent[name]
        config.judge = ConfigDict()  # nobody judges photographs
    config.family = "deblur.document"
    config.data = cells
    config.data.update(cell=50, maps=("images.scale",), evaluation_maps=("images.scale",))
    config.batch_size = 2
    config.pictures = 16
    config.model.update(image_shape=(50, 50, 3), latent_size=500_000, passes="mixed", inference_fakes=True)
    config.model.real_label = (0.9, 0.9)
    config.phases.adversarial.steps = 20_000
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(1e-3, eps=1e-7)


def wgan_gp(config: ConfigDict) -> None:
    """Section 4 of the paper: the content loss, on block3_conv3 of VGG-19, counts 100 times the adversarial one."""
    config.model.update(adversarial="wasserstein", discriminator_turns=5)
    config.coefficients.update(pixel=None, content=100.0, adversarial=1.0, gradient_penalty=10.0)
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(1e-4, b1=0.5)


def small(config: ConfigDict) -> None:
    """Kernels of half the size, none of them nearly sharp, so that less is to be learned."""
    config.batch_size = 4
    config.data.cell = 256 + 16
    config.data.blur.update(size=17, radius=(2.0, 4.0), length=(7.0, 14.0), sigma=(1.0, 2.2), noise=(0.0, 0.0))
    config.data.random_crop.size = 96 + 16
    config.model.image_shape = (96, 96, 3)
    config.phases.pretrain.steps = 12_000
    config.phases.adversarial.steps = 1_000


def folder(config: ConfigDict) -> None:
    config.data.name = "photo_folder"


def pairs(config: ConfigDict) -> None:
    config.data.name = "blur_pairs"
    config.data.fields = ("image", "source")
    config.data.cell = 256
    config.data.random_crop = {"size": 128, "keys": ("image", "source")}
    config.data.flip_and_turn = {"keys": ("image", "source")}
    config.data.maps = ("degrade.random_crop", "degrade.flip_and_turn", "images.scale_pair")
    config.data.evaluation_maps = ("images.scale_pair",)


def certh(config: ConfigDict) -> None:
    config.data.name = "certh_blur"


def tiny(config: ConfigDict) -> None:
    _restoration.tiny(config)
    config.data.update(cell=64 + 8, held_out=("rocket",))
    config.data.blur.update(size=9, radius=(1.0, 3.0), length=(3.0, 8.0), sigma=(0.5, 1.5))
    config.data.random_crop.size = 32 + 8
    config.model.image_shape = (32, 32, 3)
    config.model.generator_options.update(channels=(4, 4, 8), blocks=2)
    config.model.discriminator_options.channels = (4, 8)


PRESETS = {preset.__name__: preset for preset in (document, wgan_gp, small, folder, pairs, certh, tiny)}
