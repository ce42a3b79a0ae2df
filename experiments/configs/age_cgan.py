r"""Ageing faces, in three phases.

    python -m experiments.run --config=experiments/configs/age_cgan.py --config.faces.weights=FOLDER
    python -m experiments.run --config=experiments/configs/age_cgan.py:pixel --workdir=runs/pixel
    python -m experiments.run --config=experiments/configs/age_cgan.py:document,wiki --config.faces.weights=FOLDER ...

FOLDER is `model` of the npm package @vladmandic/face-api, see experiments/face_weights.py. Presets, applied from left
to right: `document` (the faithful networks and recipe), `pixel` (the refine phase by pixels instead of identity),
`initial` (no refine phase: the encoder's latents as they are), `wiki` (wiki_crop instead of drawn faces), `tiny` (a
test in seconds). None: smaller networks for two cores, on drawn faces.
"""

from ml_collections import ConfigDict

from experiments import optimizers
from experiments.configs import _latent


def get_config(presets: str = "") -> ConfigDict:
    config = _latent.base("age_cgan")
    config.batch_size = 32
    config.pictures = 8
    with config.unlocked():
        del config.judge, config.features
    config.faces = ConfigDict(
        {
            "weights": "",  # of the recogniser and the age net: face-api's folder, or an .npz of it
            "judge": {"steps": 1_000, "batch_size": 128, "learning_rate": 1e-3, "seed": 0},  # of drawn people
        }
    )
    config.data.name = "synthetic_faces"
    config.data.fields = ("image", "label", "identity")
    config.model.update(image_shape=(64, 64, 3), classes=6, average_decay=0.995)
    config.model.encoder = "Encoder"
    config.model.encoder_options = ConfigDict({"channels": (32, 64, 128, 256), "hidden": 512})
    config.model.random_labels = True
    config.model.inference_refine = True
    config.model.generator_options = ConfigDict({"hidden": 256, "channels": (128, 64, 32), "dropout": 0.0})
    config.model.discriminator_options = ConfigDict(
        {"channels": (32, 64, 128, 256), "norm": False, "spectral_norm": False}
    )
    config.model.adversarial = "non_saturating"
    config.coefficients.update(adversarial=1.0, r1=0.2)
    # A pixel's distance has small gradients: with a weight of 1 those of `ageing` hide it.
    for name, weight in (("identity", 1.0), ("pixel", 10.0), ("ageing", 0.3), ("latent", 0.1)):
        config.coefficients[name] = weight
    config.phases = ConfigDict(
        {"adversarial": {"steps": 6_000}, "encode": {"steps": 1_500}, "refine": {"steps": 3_600}}
    )
    config.optimizers.encode = ConfigDict({"encoder": optimizers.default(1e-3, schedule="cosine", final_fraction=0.05)})
    config.optimizers.refine = ConfigDict(
        {
            "encoder": optimizers.default(1e-3, b1=0.5, schedule="cosine", final_fraction=0.05),
            "generator": optimizers.default(1e-3, b1=0.5, schedule="cosine", final_fraction=0.05),
            "discriminator": optimizers.default(2e-4, b1=0.5),
        }
    )
    return _latent.apply(config, presets, PRESETS)


def document(config: ConfigDict) -> None:
    config.batch_size = 128
    config.model.update(passes="turns", inference_fakes=True, inference_refine=False, average_decay=None)
    config.model.encoder_options = ConfigDict()
    config.model.generator_options = ConfigDict()
    config.model.discriminator_options = ConfigDict()
    config.coefficients.update(r1=None, identity=1.0, pixel=None, ageing=None, latent=None)
    config.phases.adversarial.steps = round(500 * 20_400 / 128)
    config.phases.encode.steps = config.phases.refine.steps = 10_000
    for player in ("generator", "discriminator"):
        config.optimizers.adversarial[player] = optimizers.default(2e-4, b1=0.5, eps=1e-7)
    config.optimizers.encode.encoder = optimizers.default(1e-3, eps=1e-7)
    with config.unlocked():
        config.optimizers.refine = ConfigDict(
            {player: optimizers.default(2e-4, b1=0.5, eps=1e-7) for player in ("encoder", "generator")}
        )


def pixel(config: ConfigDict) -> None:
    config.coefficients.update(identity=None, pixel=config.coefficients.pixel or 1.0)


def initial(config: ConfigDict) -> None:
    config.phases.refine.steps = 0


def wiki(config: ConfigDict) -> None:
    config.data.name = "wiki_faces"
    config.data.fields = ("image", "label")
    config.faces.judge = ConfigDict()


def tiny(config: ConfigDict) -> None:
    config.batch_size = config.evaluation_batch = 8
    for phase in config.phases.values():
        phase.steps = 3
    config.log_every = 1
    config.sample_every = config.checkpoint_every = 3
    config.pictures = 4
    config.data.name = "few_synthetic_faces"
    # No recogniser and no gradients of gradients, which take long to compile.
    config.coefficients.update(identity=None, pixel=1.0, r1=None)
    config.faces.judge.update(steps=2, batch_size=32)
    config.model.encoder_options = ConfigDict({"channels": (4, 4, 8, 8), "hidden": 16})
    config.model.generator_options = ConfigDict({"hidden": 8, "channels": (8, 4, 4), "dropout": 0.0})
    config.model.discriminator_options.channels = (4, 4, 8, 8)


PRESETS = {preset.__name__: preset for preset in (document, pixel, initial, wiki, tiny)}
