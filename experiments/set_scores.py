"""Scores of a whole set of generated pictures beside as many real ones, from what frozen networks saw in each."""

from collections.abc import Mapping

import numpy as np

from gans.scores import coverage, frechet, inception_score, kernel, modes

SUBSET = 1000  # pictures that a kernel distance compares at a time


def set_scores(seen: Mapping[str, np.ndarray], networks: tuple[str, ...], classes: int) -> dict[str, float]:
    """{score's name: value}, named by the network that saw the pictures and, where it matters, by their number.

    Args:
      seen: what a family's `evaluate` returned for all pictures, see `gans.frozen.compare`.
      networks: names of the frozen networks; what one of them did not see is left out.
      classes: how many classes the judge's verdicts tell apart.
    """
    found = {}
    if "generated_verdict" in seen:
        uniform = np.full(classes, 1 / classes)
        found[f"modes_{classes}"] = float(modes.modes(seen["generated_verdict"], classes))
        found[f"kl_{classes}"] = modes.kl_of_labels(seen["generated_verdict"], uniform, classes)
    if "generated_right" in seen:
        found["label_accuracy_digits"] = 100 * float(seen["generated_right"].mean())
    for network in networks:
        real, generated = (seen.get(f"{side}_probabilities_{network}") for side in ("real", "generated"))
        if generated is not None:
            # In one split: samples of a conditional run follow the test split's labels, which may lie in order.
            found[f"inception_score_{network}"] = inception_score.inception_score(generated, splits=1)[0]
            found[f"mode_score_{network}"] = inception_score.mode_score(generated, real)
        real, generated = (seen.get(f"{side}_features_{network}") for side in ("real", "generated"))
        if generated is not None:
            found |= _of_features(real, generated, network)
    return found


def _of_features(real, generated, network):
    found, count = {}, len(real)
    name = f"{network}_{count // 1000}k" if count % 1000 == 0 else f"{network}_{count}"
    # With fewer pictures than features a covariance is singular and the distance says little.
    if count > real.shape[1]:
        found[f"fid_{name}"] = frechet.frechet_distance(real, generated)
    if count >= 100:
        # Subsets of everything would all be the same.
        subsets = {"subset_size": SUBSET} if count > SUBSET else {"subset_size": count, "subsets": 1}
        found[f"kid_{name}"] = kernel.kernel_distance(real, generated, **subsets)[0]
        found |= {f"{key}_{name}": v for key, v in coverage.manifold_scores(real, generated)._asdict().items()}
    return found
