r"""Restoring masked digits.

    python -m experiments.run --config=experiments/configs/inpainting.py --workdir=runs/digits
    python -m experiments.run --config=experiments/configs/inpainting.py:document,mnist --workdir=runs/document

Presets, applied from left to right: `document` (the faithful network and recipe), `digits5k`, `mnist`, `fashion` (data
and length), `tiny` (a test in seconds). None: our network on digits5k.
"""

from ml_collections import ConfigDict

from experiments import optimizers


def get_config(presets: str = "") -> ConfigDict:
    config = ConfigDict()
    config.family = "inpainting"
    config.seed = 0  # of initial weights, order of examples, masks and dropout
    config.batch_size = 128  # examples of one slice, over all devices
    config.accumulate = 1  # micro-batches of one device's share
    config.synchronised_norm = False  # batch norm over all devices, not over each one's share
    config.steps_per_dispatch = 1  # train steps in one compiled program
    config.deterministic = False  # on GPUs: programs that give the same bits each time, and may be slower
    config.log_every = 10  # steps, as are these:
    config.sample_every = 0
    config.checkpoint_every = 0
    config.score_every = 0  # 0: at the end only
    config.keep_checkpoints = 3  # the newest ones
    config.keep_every = 0  # steps; checkpoints of its multiples stay for good
    config.best = ConfigDict({"score": "", "lowest": True})  # the checkpoint with the best of these on the way stays
    config.rollbacks = 0  # times that a run goes back to a good checkpoint where it diverges, or stops for a collapse
    config.pictures = 12  # in each figure

    config.data = ConfigDict(
        {
            "name": "digits5k",  # digits5k, or a name that tfds.load knows
            "path": "",  # the user's own files instead: an .npz, or a folder of idx files
            "directory": "",  # of prepared data sets; empty: TFDS' own default
            "fields": ("image", "label"),
            "loader": "tf.data",  # or memory, without TensorFlow, or device, for sets that fit on a GPU
            "maps": ("images.scale", "images.mask_square"),  # for training, in this order
            "evaluation_maps": ("images.scale", "images.mask_square"),
            "per_picture": (),  # maps whose random draws are a picture's own, the same at each visit
            "mask_square": {"size": 8, "low": 8, "high": 11},  # pixels; the corner is uniform over low..high
            "validation": 0.0,  # share of the training split that is held out, for scores on the way
            "evaluation_seed": 0,  # of the masks that scores are taken on, the same for all runs
        }
    )
    config.model = ConfigDict(
        {
            "image_shape": (28, 28, 1),
            "generator": "FoldedUNet",  # classes in gans/inpainting/networks.py, and their attributes
            "discriminator": "FoldedDiscriminator",
            "generator_options": ConfigDict(),
            "discriminator_options": ConfigDict(),
            "adversarial": "non_saturating",
            "real_label": 1.0,  # 0.9: one-sided label smoothing, arXiv 1606.03498, section 3.4
            "paste": True,  # known pixels over the generator's
            "unpaired": False,
            "average_decay": 0.0,  # of the generator that restores, each step
            "precision": "float32",  # or bfloat16: what the networks compute in while they train
        }
    )
    config.coefficients = ConfigDict({"adversarial": 0.3, "reconstruction": 1.0})
    config.optimizers = ConfigDict({"adversarial": {}})
    config.optimizers.adversarial.generator = optimizers.default(
        3e-3, b2=0.99, schedule="cosine", final_fraction=0.01, clip_norm=1.0
    )
    config.optimizers.adversarial.discriminator = optimizers.default(2e-4, b1=0.5)
    config.phases = ConfigDict({"adversarial": {"steps": 0}})
    config.judge = ConfigDict(
        {
            "epochs": 0,
            "batch_size": 128,
            "learning_rate": 1e-3,
            "cosine": False,  # whether the learning rate falls to 0
            "shift": 0,  # pixels of random translation
            "validation": 0.0,  # of the training split
            "seed": 0,
        }
    )
    digits5k(config)

    for preset in filter(None, presets.split(",")):
        if preset not in PRESETS:
            raise ValueError(f"There is no preset {preset!r}; choose from {', '.join(PRESETS)}.")
        PRESETS[preset](config)
    return config


def epochs(count: float, examples: int, batch_size: int) -> int:
    """The steps that `count` passes over `examples` take."""
    return round(count * examples / batch_size)


def document(config: ConfigDict) -> None:
    config.model.update(generator="DocumentGenerator", discriminator="Discriminator", real_label=0.9)
    config.model.generator_options = ConfigDict()
    config.model.discriminator_options = ConfigDict()
    config.model.update(paste=False, unpaired=True, average_decay=None)
    config.coefficients.update(adversarial=1.0, reconstruction=None)
    config.data.per_picture = ("images.mask_square",)
    config.optimizers.adversarial.generator = optimizers.default(2e-4, b1=0.5, eps=1e-7)
    config.optimizers.adversarial.discriminator = optimizers.default(4e-4, b1=0.5, eps=1e-7)
    _set_length(config)


def digits5k(config: ConfigDict) -> None:
    config.data.name = "digits5k"
    config.judge.update(epochs=20, cosine=True, shift=1, validation=0.1)  # what few digits need
    _set_length(config)


def mnist(config: ConfigDict, name: str = "mnist") -> None:
    config.data.name = name
    config.judge.update(epochs=3, cosine=False, shift=0, validation=0.2)  # the document's
    _set_length(config)


def fashion(config: ConfigDict) -> None:
    mnist(config, "fashion_mnist")


def _set_length(config: ConfigDict) -> None:
    small = config.data.name == "digits5k"
    if config.model.generator == "DocumentGenerator":
        steps = epochs(5, 4_000 if small else 60_000, config.batch_size)
    else:
        steps = {"digits5k": 600, "mnist": 8_000}.get(config.data.name, 4_000)  # 19, 17 and 8.5 passes
        config.optimizers.adversarial.generator.warmup = steps // 20
        config.model.average_decay = 0.99 if small else 0.998
    config.phases.adversarial.steps = steps
    config.sample_every = config.checkpoint_every = 200 if small else 500


def tiny(config: ConfigDict) -> None:
    config.batch_size = 16
    config.phases.adversarial.steps = 6
    config.log_every = 1
    config.sample_every = config.checkpoint_every = 3
    config.judge.epochs = 1
    config.model.generator_options = ConfigDict({"fine": 8, "coarse": 16, "code": 32})
    config.model.discriminator_options = ConfigDict({"channels": (8, 8, 8)})


PRESETS = {preset.__name__: preset for preset in (document, digits5k, mnist, fashion, tiny)}
