r"""3D-GAN: shapes of voxels. Wu et al. 2016, arXiv 1610.07584.

    python -m experiments.run --config=experiments/configs/gan3d.py --workdir=runs/chairs
    python -m experiments.run --config=experiments/configs/gan3d.py:conditional --workdir=runs/solids
    python -m experiments.run --config=experiments/configs/gan3d.py:meshes --config.data.path=FOLDER --workdir=...
    python -m experiments.run --config=experiments/configs/gan3d.py:document,shapenet --config.data.path=FOLDER ...

Presets, applied from left to right: `small` (32^3, the default), `document` (64^3, the document's recipe), `paper`
(64^3, the paper's, whose discriminator waits while it is too good), the data `chairs` (drawn ones, the default),
`solids` (drawn tables, chairs and aeroplanes), `meshes` (the chairs among the user's own files) and `shapenet` (the
aeroplanes of 3D ShapeNets), `conditional` (on class labels), the losses `hinge`, `least_squares`, `wgan_gp`, the
techniques `feature_matching`, `minibatch`, `spectral`, and `tiny` (a test in seconds).
"""

from ml_collections import ConfigDict, config_dict

from experiments import optimizers
from experiments.configs import _latent

# Drawn solids: the sets by their side, the training volumes of a class, and the classes.
DRAWN, SOLIDS, CLASSES = {32: "solids", 64: "solids64"}, 1_000, ("table", "chair", "aeroplane")


def get_config(presets: str = "") -> ConfigDict:
    config = _latent.base("gan3d")
    config.judge = ConfigDict()  # there are no networks that judge shapes
    config.features = ConfigDict()
    config.pictures = 16
    config.data.loader = "memory"
    config.data.voxels = ConfigDict({"classes": (), "filled": False})  # keywords of data_pipelines.voxels.load
    config.data.evaluation_maps = ("volumes.scale",)
    config.model.update(latent_size=200, latent_deviation=0.33, batch_statistics=False)
    config.model.adaptive_accuracy = config_dict.placeholder(float)
    config.model.generator_options.norm = "batch"
    config.model.discriminator_options.update(
        dropout=0.0, norm="batch", spectral_norm=False, minibatch_discrimination=False
    )
    small(config)
    chairs(config)
    return _latent.apply(config, presets, PRESETS)


def _networks(config: ConfigDict, side: int, channels: tuple[int, ...]) -> None:
    """Networks for volumes of a side; channels are the generator's, and the discriminator's in the other order."""
    config.model.image_shape = (side, side, side, 1)
    config.model.generator_options.channels = channels
    config.model.discriminator_options.channels = channels[::-1]
    if config.data.name in DRAWN.values():
        config.data.name = DRAWN[side]
    elif "resolution" in config.data.voxels:
        config.data.voxels.resolution = side


def small(config: ConfigDict) -> None:
    _networks(config, 32, (128, 64, 32))
    config.batch_size = 16
    config.phases.adversarial.steps = 3_000
    config.model.update(adaptive_accuracy=0.8, average_decay=0.995, batch_statistics=False, real_label=(0.9, 0.9))
    config.data.maps = ("volumes.scale", "volumes.mirror", "volumes.jitter")
    config.data.jitter = ConfigDict({"scale": 0.1, "shift": 1})
    config.optimizers.adversarial.generator = optimizers.default(2.5e-3, b1=0.5)
    config.optimizers.adversarial.discriminator = optimizers.default(2e-4, b1=0.5)


def _large(config: ConfigDict) -> None:
    _networks(config, 64, (512, 256, 128, 64))
    config.model.update(average_decay=None, real_label=(1.0, 1.0))
    config.data.maps = ("volumes.scale",)


def document(config: ConfigDict) -> None:
    _large(config)
    config.batch_size = 32
    config.phases.adversarial.steps = 100 * SOLIDS // 32  # 100 epochs to try, 100,000 for good
    config.sample_every, config.pictures = 10, 5
    config.model.update(adaptive_accuracy=None, batch_statistics=True)
    config.optimizers.adversarial.generator = optimizers.default(2.5e-3, b1=0.5)
    config.optimizers.adversarial.discriminator = optimizers.default(1e-5, b1=0.9)


def paper(config: ConfigDict) -> None:
    _large(config)
    config.batch_size = 100
    config.phases.adversarial.steps = 100 * SOLIDS // 100
    config.model.update(adaptive_accuracy=0.8, batch_statistics=False)
    config.optimizers.adversarial.generator = optimizers.default(2.5e-3, b1=0.5)
    config.optimizers.adversarial.discriminator = optimizers.default(1e-5, b1=0.5)


def _drawn(config: ConfigDict, classes: tuple[str, ...]) -> None:
    config.data.name = DRAWN[config.model.image_shape[0]]
    config.data.voxels.classes = classes


def chairs(config: ConfigDict) -> None:
    _drawn(config, ("chair",))


def solids(config: ConfigDict) -> None:
    _drawn(config, CLASSES)


def meshes(config: ConfigDict) -> None:
    config.data.name = "mesh_voxels"
    config.data.voxels.update(resolution=config.model.image_shape[0], classes=("chair",))


def shapenet(config: ConfigDict) -> None:
    config.data.name = "shapenet_voxels"
    config.data.voxels.update(resolution=config.model.image_shape[0], classes=("airplane",))


def conditional(config: ConfigDict) -> None:
    if config.data.name in DRAWN.values():
        solids(config)
    config.model.classes = len(config.data.voxels.classes)


def hinge(config: ConfigDict) -> None:
    config.model.update(adversarial="hinge", real_label=(1.0, 1.0))


def least_squares(config: ConfigDict) -> None:
    config.model.adversarial = "least_squares"


def wgan_gp(config: ConfigDict) -> None:
    """As for pictures; its critic has no batch norm (arXiv 1704.00028, section 4) and is never too good."""
    _latent.wgan_gp(config)
    config.model.update(adaptive_accuracy=None, real_label=(1.0, 1.0))
    config.model.discriminator_options.norm = "none"


def tiny(config: ConfigDict) -> None:
    _latent.tiny(config)
    config.batch_size = 8
    config.pictures = 4
    _networks(config, 32, (8, 8, 4))


OWN = (small, document, paper, chairs, solids, meshes, shapenet, conditional, hinge, least_squares, wgan_gp, tiny)
PRESETS = {name: _latent.SHARED[name] for name in ("feature_matching", "minibatch", "spectral")} | {
    preset.__name__: preset for preset in OWN
}
