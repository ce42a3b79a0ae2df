"""Scores of aged faces: is it still the same person, and does the face look as old as was asked."""

from collections.abc import Mapping

import numpy as np

from data_pipelines import ages
from gans.scores import frechet

FALSE_ACCEPTS = 0.01  # the share of pairs of strangers that count as one person
PAIRS = 100_000


def face_scores(seen: Mapping[str, np.ndarray], label: np.ndarray, identity: np.ndarray) -> dict[str, float]:
    """Scores of what `gans.frozen.people.compare` saw in a whole split, by judge.

    `verification_<judge>`: percent of photographs whose reconstruction is accepted as the same person at a threshold
    where 1% of the pairs of photographs of strangers are (Antipov et al. 2017, section 3.3);
    `verification_aged_<judge>`: the same over the photographs in all age groups, and `verification_GROUP_<judge>`: in
    one of them; `verification_photos_<judge>`: over pairs of photographs of one person at different ages, what the
    judge itself can do. `age_accuracy`: percent of aged faces that the judge puts into the group asked for,
    `age_accuracy_photos` that of photographs. `fid_people_GROUP`: Fréchet distance of the judge's descriptors between
    photographs of an age group and people aged into it.

    Args:
      seen: rows of the split.
      label: age group of each photograph, int [n].
      identity: who it is, int [n]; a photograph of a person of its own where that is unknown.
    """
    found = {}
    for judge in ("people", "face"):
        if f"{judge}_photo" in seen:
            found |= {f"{name}_{judge}": value for name, value in _verification(seen, judge, identity).items()}
    groups = len(ages.GROUPS)
    if "group_aged" in seen:
        asked = np.arange(groups)[None]
        found["age_accuracy"] = 100 * float((seen["group_aged"] == asked).mean())
        found["age_accuracy_photos"] = 100 * float((seen["group_photo"] == label).mean())
        for group, name in enumerate(ages.GROUPS):
            real, made = seen["people_photo"][label == group], seen["people_aged"][label != group, group]
            if min(len(real), len(made)) > real.shape[1]:  # else their covariance is singular
                found[f"fid_people_{name}"] = frechet.frechet_distance(real, made)
    elif "age_aged" in seen:
        found["age_accuracy"] = 100 * float((ages.groups(seen["age_aged"]) == np.arange(groups)[None]).mean())
        found["age_accuracy_photos"] = 100 * float((ages.groups(seen["age_photo"]) == label).mean())
    return found


def _verification(seen, judge, identity):
    photo, restored, aged = (seen[f"{judge}_{name}"] for name in ("photo", "restored", "aged"))
    one, other = np.random.default_rng(0).integers(len(photo), size=(2, PAIRS))
    strangers = identity[one] != identity[other]
    threshold = np.quantile(_distance(photo[one], photo[other])[strangers], FALSE_ACCEPTS)
    found = {
        "verification": _distance(photo, restored),
        "verification_aged": _distance(photo[:, None], aged),
    }
    found |= {f"verification_{name}": found["verification_aged"][:, group] for group, name in enumerate(ages.GROUPS)}
    order = np.argsort(identity, kind="stable")
    same = np.flatnonzero(identity[order][1:] == identity[order][:-1])
    if len(same):
        found["verification_photos"] = _distance(photo[order[same]], photo[order[same + 1]])
    return {name: 100 * float((distances <= threshold).mean()) for name, distances in found.items()}


def _distance(a, b):
    return np.linalg.norm(a - b, axis=-1)
