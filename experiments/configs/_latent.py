"""What the configs of GANs on latents share."""

from ml_collections import ConfigDict, config_dict

from experiments import optimizers

# name: (training pictures, image shape, classes)
DATA = {
    "digits5k": (4_000, (28, 28, 1), 10),
    "mnist": (60_000, (28, 28, 1), 10),
    "fashion_mnist": (60_000, (28, 28, 1), 10),
    "cifar10": (50_000, (32, 32, 3), 10),
    "stacked_mnist": (128_000, (28, 28, 3), 0),
    "stacked_digits5k": (4_000, (28, 28, 3), 0),
}


def base(family: str) -> ConfigDict:
    """A config of the family, without networks and lengths; unconditional, on digits5k."""
    config = ConfigDict()
    config.family = family
    config.seed = 0  # of initial weights, order of examples, latents and dropout
    config.batch_size = 128  # examples of one slice, over all devices
    config.accumulate = 1  # micro-batches of one device's share
    config.synchronised_norm = False  # batch norm over all devices, not over each one's share
    config.steps_per_dispatch = 1  # train steps in one compiled program
    config.deterministic = False  # on GPUs: programs that give the same bits each time, and may be slower
    config.log_every = 10  # steps, as are these:
    config.sample_every = 500
    config.checkpoint_every = 500
    config.score_every = 0  # 0: at the end only
    config.keep_checkpoints = 3  # the newest ones
    config.keep_every = 0  # steps; checkpoints of its multiples stay for good
    config.best = ConfigDict({"score": "", "lowest": True})  # the checkpoint with the best of these on the way stays
    config.rollbacks = 0  # times that a run goes back to a good checkpoint where it diverges, or stops for a collapse
    config.pictures = 100  # in each figure
    config.collapse = ConfigDict(
        {
            "diversity": 0.2,  # of a batch of fakes, relative to real pictures: below it the run has collapsed
            "accuracy": 0.99,  # of the discriminator on both sides: above it the generator has lost
            "patience": 500,  # steps for which it must last
            "stop": False,
        }
    )
    config.data = ConfigDict(
        {
            "name": "digits5k",  # or a name that tfds.load knows
            "path": "",  # the user's own files instead: an .npz, or a folder of idx files
            "directory": "",  # of prepared data sets; empty: TFDS' own default
            "fields": ("image", "label"),
            "loader": "tf.data",  # or memory, without TensorFlow, or device, for sets that fit on a GPU
            "maps": ("images.scale",),  # for training, in this order
            "evaluation_maps": ("images.scale",),
            "per_picture": (),
            "validation": 0.0,  # share of the training split that is held out, for scores on the way
            "evaluation_seed": 0,
        }
    )
    config.model = ConfigDict(
        {
            "image_shape": (28, 28, 1),
            "latent_size": 100,
            "classes": 0,  # 10: conditional on the label
            "generator": "Generator",  # classes in gans/<family>/networks.py, and their attributes
            "discriminator": "Discriminator",
            "generator_options": ConfigDict(),
            "discriminator_options": ConfigDict(),
            "adversarial": "non_saturating",  # a pair in gans/losses.py
            "real_label": (1.0, 1.0),  # (0.9, 0.9): one-sided smoothing; (0.8, 1.0): drawn for each example
            "fake_label": (0.0, 0.0),
            "passes": "separate",  # or mixed, turns
            "discriminator_turns": 1,
            "inference_fakes": False,
            "augmentation": (),  # ("color", "translation", "cutout"): arXiv 2006.10738
            "average_decay": config_dict.placeholder(float),
            "precision": "float32",  # or bfloat16: what the networks compute in while they train
        }
    )
    config.coefficients = ConfigDict({"adversarial": 1.0})
    for name in ("feature_matching", "gradient_penalty", "r1", "r2"):
        config.coefficients[name] = config_dict.placeholder(float)
    config.optimizers = ConfigDict({"adversarial": {}})
    config.optimizers.adversarial.generator = optimizers.default(2e-4, b1=0.5)
    config.optimizers.adversarial.discriminator = optimizers.default(2e-4, b1=0.5)
    config.phases = ConfigDict({"adversarial": {"steps": 0}})
    config.features = ConfigDict({"inception": "", "mobilenet": ""})  # .npz of weights, for scores by their features
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
    return config


def _on(config: ConfigDict, name: str) -> None:
    """Sets data, shape and judge; the networks keep their settings."""
    config.data.name = name
    _, config.model.image_shape, classes = DATA[name]
    if config.model.classes:
        config.model.classes = classes
    small = name.endswith("digits5k")
    few, many = {"epochs": 20, "cosine": True, "shift": 1, "validation": 0.1}, {"epochs": 3, "validation": 0.2}
    config.judge.update(few if small else {"cosine": False, "shift": 0} | many)


def digits5k(config: ConfigDict) -> None:
    _on(config, "digits5k")


def mnist(config: ConfigDict) -> None:
    _on(config, "mnist")


def fashion(config: ConfigDict) -> None:
    _on(config, "fashion_mnist")


def cifar10(config: ConfigDict) -> None:
    _on(config, "cifar10")
    config.data.maps = ("images.scale", "images.flip_horizontal")


def stacked(config: ConfigDict) -> None:
    _on(config, "stacked_mnist")


def conditional(config: ConfigDict) -> None:
    config.model.classes = DATA[config.data.name][2]


def feature_matching(config: ConfigDict) -> None:
    config.coefficients.update(adversarial=None, feature_matching=1.0)


def minibatch(config: ConfigDict) -> None:
    config.model.discriminator_options.minibatch_discrimination = True


def spectral(config: ConfigDict) -> None:
    config.model.discriminator_options.spectral_norm = True


def wgan_gp(config: ConfigDict) -> None:
    """Gulrajani et al. 2017, arXiv 1704.00028, algorithm 1: five critic turns, Adam 1e-4 (0, 0.9)."""
    config.model.update(adversarial="wasserstein", discriminator_turns=5)
    config.model.discriminator_options.dropout = 0.0
    config.coefficients.gradient_penalty = 10.0
    for player in config.optimizers.adversarial.values():
        player.update(learning_rate=1e-4, b1=0.0, b2=0.9)


def tiny(config: ConfigDict) -> None:
    config.batch_size = 16
    config.phases.adversarial.steps = 6
    config.log_every = 1
    config.sample_every = config.checkpoint_every = config.score_every = 3
    config.pictures = 20
    if config.judge:
        config.judge.epochs = 1


SHARED = {
    preset.__name__: preset
    for preset in (
        digits5k,
        mnist,
        fashion,
        cifar10,
        stacked,
        conditional,
        feature_matching,
        minibatch,
        spectral,
        wgan_gp,
        tiny,
    )
}


def apply(config: ConfigDict, names: str, presets: dict) -> ConfigDict:
    """The config after the presets `names`, separated by commas, from left to right."""
    for name in filter(None, names.split(",")):
        if name not in presets:
            raise ValueError(f"There is no preset {name!r}; choose from {', '.join(presets)}.")
        presets[name](config)
    return config
