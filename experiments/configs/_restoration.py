"""What the configs of GANs that restore photographs share."""

from ml_collections import ConfigDict, config_dict

from experiments import optimizers


def base(family: str) -> ConfigDict:
    """A config of the family, without networks, degradation and lengths; on the photographs inside two packages."""
    config = ConfigDict()
    config.family = family
    config.seed = 0  # of initial weights, order of examples, crops and degradation
    config.batch_size = 16  # examples of one slice, over all devices
    config.accumulate = 1  # micro-batches of one device's share
    config.synchronised_norm = False  # batch norm over all devices, not over each one's share
    config.steps_per_dispatch = 1  # train steps in one compiled program
    config.deterministic = False  # on GPUs: programs that give the same bits each time, and may be slower
    config.log_every = 10  # steps, as are these:
    config.sample_every = 500
    config.checkpoint_every = 250
    config.score_every = 0  # 0: at the end only
    config.keep_checkpoints = 3  # the newest ones
    config.keep_every = 0  # steps; checkpoints of its multiples stay for good
    config.best = ConfigDict({"score": "", "lowest": True})  # the checkpoint with the best of these on the way stays
    config.rollbacks = 0  # times that a run goes back to a good checkpoint where it diverges, or stops for a collapse
    config.pictures = 4  # in each figure
    config.evaluation_batch = 4  # pictures of a whole cell's size
    config.data = ConfigDict(
        {
            "name": "photos",  # or photo_folder, blur_pairs, certh_blur, with a path
            "path": "",  # the folder of photographs
            "cell": 256,  # pixels; photographs are read in squares of this side, which the test split is scored on
            "shrink": 1,  # photographs to this part of their sides first, which sharpens their pixels
            "test": 0.1,  # share of the photographs in the test split
            "held_out": (),  # or their names
            "fields": ("image",),
            "loader": "tf.data",  # or memory, which needs no TensorFlow
            "maps": (),  # for training, in this order
            "evaluation_maps": (),
            "per_picture": (),
            "random_crop": {"size": 96},  # pixels
            "flip_and_turn": {},
            "validation": 0.0,  # share of the training split that is held out, for scores on the way
            "evaluation_seed": 0,  # of the degradation that scores are taken on
        }
    )
    config.model = ConfigDict(
        {
            "image_shape": (96, 96, 3),  # of the restored pictures trained on
            "scale": 1,
            "generator": "Generator",  # classes in gans/<family>/networks.py, and their attributes
            "discriminator": "Discriminator",
            "generator_options": ConfigDict(),
            "discriminator_options": ConfigDict(),
            "adversarial": "relativistic",  # a pair in gans/losses.py
            "pixel": "l2",  # or l1
            "content_layers": ("block3_conv3",),  # of config.perceptual.content
            "passes": "separate",  # or turns
            "discriminator_turns": 1,
            "fresh": False,  # examples for the generator's turn
            "inference_fakes": False,
            "average_decay": 0.995,
            "precision": "float32",  # or bfloat16: what the networks compute in while they train
        }
    )
    config.coefficients = ConfigDict()  # of the adversarial phase; None: left out
    for name in ("pixel", "content", "adversarial", "gradient_penalty", "r1", "r2"):
        config.coefficients[name] = config_dict.placeholder(float)
    config.perceptual = ConfigDict(
        {
            "content": "vgg16",  # or vgg19: the network of the content loss
            "weights": "",  # its file, see experiments/perceptual.py; empty: found or downloaded
            "raw": False,  # whether it is shown [-1, 1] as it is, as in the document
            "lpips": True,  # whether results are scored by LPIPS
            "lpips_weights": "",
        }
    )
    config.phases = ConfigDict({"pretrain": {"steps": 0}, "adversarial": {"steps": 0}})
    config.optimizers = ConfigDict({"pretrain": {}, "adversarial": {}})
    config.optimizers.pretrain.generator = optimizers.default(5e-4, schedule="cosine", final_fraction=0.02, warmup=100)
    config.optimizers.adversarial.generator = optimizers.default(1e-4, b1=0.0, b2=0.99)
    config.optimizers.adversarial.discriminator = optimizers.default(1e-4, b1=0.0, b2=0.99)
    return config


def tiny(config: ConfigDict) -> None:
    config.batch_size = config.evaluation_batch = 8
    config.phases.pretrain.steps = config.phases.adversarial.steps = 3
    config.log_every = 1
    config.sample_every = config.checkpoint_every = 3
    config.pictures = 2
    config.perceptual.update(weights="random", lpips=False)
    config.model.content_layers = ("block1_conv2",)


def apply(config: ConfigDict, names: str, presets: dict) -> ConfigDict:
    """The config after the presets `names`, separated by commas, from left to right."""
    for name in filter(None, names.split(",")):
        if name not in presets:
            raise ValueError(f"There is no preset {name!r}; choose from {', '.join(presets)}.")
        presets[name](config)
    return config
