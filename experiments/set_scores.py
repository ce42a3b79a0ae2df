"""Scores of a whole set of generated pictures beside as many real ones, from what a judge saw in each."""

from collections.abc import Mapping

import numpy as np

from gans.scores import coverage, frechet, inception_score, kernel, modes


def set_scores(seen: Mapping[str, np.ndarray], network: str, classes: int) -> dict[str, float]:
    """{score's name: value}, named by the network whose features they are and by the number of pictures.

    Args:
      seen: what a family's `evaluate` returned for all pictures, see `gans.frozen.digits.compare`.
      network: name of the features' network.
      classes: how many classes its verdicts tell apart.
    """
    count = len(seen["generated_verdict"])
    size = f"{count // 1000}k" if count % 1000 == 0 else str(count)
    name = f"{network}_{size}"
    uniform = np.full(classes, 1 / classes)
    found = {
        f"modes_{classes}": float(modes.modes(seen["generated_verdict"], classes)),
        f"kl_{classes}": modes.kl_of_labels(seen["generated_verdict"], uniform, classes),
    }
    if "generated_right" in seen:
        found[f"label_accuracy_{network}"] = 100 * float(seen["generated_right"].mean())
    if "generated_probabilities" in seen:
        found[f"inception_score_{name}"] = inception_score.inception_score(seen["generated_probabilities"])[0]
        found[f"mode_score_{name}"] = inception_score.mode_score(
            seen["generated_probabilities"], seen["real_probabilities"]
        )
    if "generated_features" in seen:
        found |= _of_features(seen["real_features"], seen["generated_features"], name)
    return found


def _of_features(real, generated, name):
    found = {}
    # With fewer pictures than features a covariance is singular and the distance says little.
    if len(real) > real.shape[1]:
        found[f"fid_{name}"] = frechet.frechet_distance(real, generated)
    if len(real) >= 100:
        found[f"kid_{name}"] = kernel.kernel_distance(real, generated, subset_size=min(1000, len(real)))[0]
        found |= {f"{key}_{name}": v for key, v in coverage.manifold_scores(real, generated)._asdict().items()}
    return found
