"""The numbers that drawn faces are made of: who it is, what age does to it, how the photograph was taken.

All are float32 [n, 1, 1], colours [n, 1, 1, 3] in [0, 1]. In the lengths of `face_drawing` half of a head's width is
about 0.73, and from the eyes to the mouth it is about 0.8.
"""

import numpy as np

Numbers = dict[str, np.ndarray]

# Each person has one of each, drawn evenly from its range; what is drawn below 0 and makes no sense there is absent.
PERSON = {
    # The head: half its width, the jaw's part of it, how square and how low the chin is, the ears.
    "width": (0.61, 0.85), "jaw": (0.5, 0.95), "chin_power": (1.9, 3.0), "chin_y": (1.08, 1.32), "ear": (0.8, 1.3),
    # Eyes: place, size, opening, slant, the fold above, the depth of the sockets, paint on the lids.
    "eye_x": (0.26, 0.42), "eye_size": (0.11, 0.19), "eye_open": (0.38, 0.78), "eye_tilt": (-0.18, 0.24),
    "hood": (0.0, 0.11), "socket": (0.05, 0.17), "shadow": (-0.2, 0.4),
    # Brows: height, arch, slant, where they begin, how much higher the right one is.
    "brow_y": (-0.36, -0.17), "arch": (-0.03, 0.1), "brow_tilt": (-0.06, 0.07), "brow_in": (-1.5, -0.95),
    "skew": (-0.02, 0.02),
    # Nose: length, half its width, height; mouth: place, half its width, thickness of the lips.
    "nose_y": (0.35, 0.56), "nose_w": (0.1, 0.28), "nose_h": (0.12, 0.38),
    "mouth_y": (0.72, 0.9), "mouth_w": (0.16, 0.38), "lip": (0.03, 0.14),
    # Cheekbones, ridge of the brow, shine, blush, freckles, two moles.
    "cheek": (0.0, 0.14), "ridge": (0.0, 0.1), "oil": (0.0, 1.0), "blush": (0.0, 0.6), "freckles": (-1.0, 1.0),
    "mole": (-0.06, 0.03), "mole_x": (-0.5, 0.5), "mole_y": (0.25, 1.0),
    "mark": (-0.06, 0.03), "mark_x": (-0.5, 0.5), "mark_y": (-0.5, 0.9),
    # Hair: where it begins, how that line bends and tilts, waves.
    "hairline": (-0.74, -0.48), "bend": (-0.2, 0.6), "parting": (-1.0, 1.0), "curl": (-0.6, 1.0), "phase": (0.0, 6.28),
    # Glasses, where there are any.
    "glass_w": (0.17, 0.25), "glass_h": (0.12, 0.2), "glass_rim": (0.012, 0.032),
}  # fmt: skip
# The same for each photograph.
VIEW = {
    "yaw": (-0.16, 0.16), "pitch": (-0.07, 0.07), "roll": (-0.06, 0.06),  # radians
    "zoom": (0.97, 1.03), "shift_x": (-0.03, 0.03), "shift_y": (-0.03, 0.03),
    "smile": (-0.2, 0.9), "open": (0.9, 1.08), "gaze_x": (-0.025, 0.025), "gaze_y": (-0.01, 0.02),
    "ambient": (0.4, 0.6), "exposure": (0.9, 1.08), "gamma": (0.92, 1.08), "grain": (0.01, 0.025),
}  # fmt: skip
_SKINS = np.array([[0.97, 0.82, 0.73], [0.91, 0.72, 0.6], [0.8, 0.6, 0.46], [0.62, 0.43, 0.31], [0.42, 0.28, 0.2]])
# Two dark ones in front: dark skin goes with those.
_HAIRS = np.array(
    [[0.07, 0.06, 0.06], [0.16, 0.1, 0.07], [0.32, 0.2, 0.12], [0.5, 0.33, 0.18], [0.78, 0.62, 0.36], [0.58, 0.24, 0.1]]
)
_IRISES = np.array([[0.2, 0.11, 0.06], [0.35, 0.22, 0.1], [0.28, 0.36, 0.2], [0.25, 0.42, 0.58], [0.42, 0.48, 0.52]])
_FRAMES = np.array([[0.05, 0.05, 0.06], [0.25, 0.12, 0.05], [0.55, 0.5, 0.42], [0.45, 0.05, 0.08]])


def between(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """From 0 where x <= low to 1 where x >= high, smoothly."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def words(seed: int, stream: int, rows: np.ndarray, count: int) -> np.ndarray:
    """Random bits, uint64 [rows, count]; a row's depend on (seed, stream, its number) alone."""
    # Raw words of Philox stay the same in every numpy.
    return np.stack([np.random.Philox(key=[seed, stream], counter=[0, 0, 0, int(r)]).random_raw(count) for r in rows])


def uniforms(seed: int, stream: int, rows: np.ndarray, count: int) -> np.ndarray:
    """Numbers in [0, 1), float64 [rows, count], from `words`."""
    return (words(seed, stream, rows, count) >> np.uint64(11)) * 2.0**-53


def persons(seed: int, identities: np.ndarray) -> Numbers:
    """The numbers of persons, as adults in their prime."""
    draws = uniforms(seed, 1, identities, len(PERSON) + 19)
    found, more = _ranged(PERSON, draws), iter(draws[:, len(PERSON) :].T)
    male, tone, fair = next(more) < 0.5, next(more) * (len(_SKINS) - 1), next(more)
    of_sex = {
        "brow_thick": (0.03, 0.012, 0.04), "red": (0.12, 0.2, 0.22), "lash": (0.5, 0.8, 0.15),
        "neck": (0.46, 0.36, 0.08), "hair_volume": (0.04, 0.1, 0.14),
    }  # fmt: skip
    for name, (his, hers, spread) in of_sex.items():
        found[name] = _column(np.where(male, his, hers) + spread * next(more))
    found["jaw"] += _column(np.where(male, 0.06, -0.04))
    length, fringe, bald, beard = (next(more) for _ in range(4))
    his_length = np.where(length < 0.85, 0.1 + 0.2 * length, 0.9)
    found["hair_length"] = _column(np.where(male, his_length, 0.35 + 1.5 * length))
    found["fringe"] = _column(np.where(fringe > 0.65, 0.6 * (fringe - 0.5), 0))
    found["balding"] = _column(np.where(male, np.clip(1.6 * bald - 0.5, 0, 1), 0))
    # Shaven, stubble or a full beard.
    found["beard"] = _column(np.where(male, np.select([beard < 0.45, beard < 0.75], [0.08, 0.35], 0.85), 0))
    for name in ("freckles", "curl", "shadow"):
        found[name] = np.maximum(found[name], 0)
    found["shadow"] *= _column(np.where(male, 0.4, 1))
    found["glasses"] = _column(next(more) < 0.25)
    found["glass"] = _colour(_picked(_FRAMES, next(more)))
    low = tone.astype(int)
    skin = _SKINS[low] + (_SKINS[low + 1] - _SKINS[low]) * (tone - low)[:, None]
    found["skin"] = _colour(skin * (1 + 0.06 * (np.stack([next(more) for _ in range(3)], -1) - 0.5)))
    dark = tone > 2.2
    hair = np.where(dark[:, None], _picked(_HAIRS[:2], fair), _picked(_HAIRS, fair))
    found["hair"] = _colour(hair * (0.8 + 0.4 * next(more)[:, None]))
    iris = next(more)
    found["iris"] = _colour(np.where(dark[:, None], _picked(_IRISES[:2], iris), _picked(_IRISES, iris)))
    return found


def views(seed: int, pictures: np.ndarray) -> Numbers:
    """The numbers of photographs: pose, expression, light, colours around the face, camera."""
    draws = uniforms(seed, 2, pictures, len(VIEW) + 13)
    found, more = _ranged(VIEW, draws), draws[:, len(VIEW) :]
    azimuth, height = 1.4 * (more[:, 0] - 0.5), 0.2 + 0.5 * more[:, 1]
    found["light_x"] = _column(np.sin(azimuth) * np.cos(height))
    found["light_y"] = _column(-np.sin(height))
    found["light_z"] = _column(np.cos(azimuth) * np.cos(height))
    warm = 0.16 * (more[:, 2] - 0.5)
    found["light"] = _colour(np.stack([1 + warm, np.ones_like(warm), 1 - warm], -1))
    above = 0.12 + 0.6 * more[:, 3:4] + 0.2 * more[:, 4:7]
    found["backdrop"], found["backdrop_low"] = _colour(above), _colour(0.75 * above + 0.2 * more[:, 7:10])
    found["clothes"] = _colour(0.1 + 0.8 * more[:, 10:13])
    return found


def grown(person: Numbers, age: np.ndarray) -> Numbers:
    """A person's numbers at ages in years [n]: childhood changes proportions; ageing skin, hair, and what hangs.

    Adds `child`, 1 at birth and 0 from 21 on, `old`, 0 up to 20 and 1 at 80, `grey` and `bald`, in [0, 1].
    """
    age = _column(age)
    child, old = np.clip(1 - age / 21, 0, 1), np.clip((age - 20) / 60, 0, 1) ** np.float32(0.8)
    bald = person["balding"] * np.clip((age - 26) / 44, 0, 1)
    # Children have low, large eyes, short noses and small chins; with age noses grow, lips thin, lids and jaws sink.
    factors = {
        "eye_x": 1 + 0.04 * child, "eye_size": 1 + 0.4 * child, "eye_open": (1 + 0.15 * child) * (1 - 0.38 * old),
        "brow_y": 1 - 0.1 * child - 0.2 * old, "brow_thick": 1 - 0.45 * child, "ridge": 1 - child, "cheek": 1 - child,
        "nose_y": (1 - 0.3 * child) * (1 + 0.08 * old), "nose_w": (1 - 0.22 * child) * (1 + 0.2 * old),
        "nose_h": 1 - 0.5 * child, "mouth_y": (1 - 0.26 * child) * (1 + 0.02 * old), "mouth_w": 1 - 0.22 * child,
        "lip": 1 - 0.5 * old, "chin_y": 1 - 0.25 * child, "neck": 1 - 0.3 * child,
        "hairline": 1 + 0.06 * child, "hair_volume": 1 - 0.4 * old - 0.35 * child, "beard": between(age, 17, 25),
    }  # fmt: skip
    found = person | {name: person[name] * factor for name, factor in factors.items()}
    found |= {"child": child, "old": old, "bald": bald, "grey": np.clip((age - 34) / 36, 0, 1)}
    found["top"], found["closer"] = -0.95 * (1 + 0.16 * child), 1 + 0.15 * child
    found["jaw"] = (1 - 0.3 * child) * person["jaw"] + 0.27 * child + 0.16 * old
    found["chin_power"] = (1 - child) * person["chin_power"] + 2.2 * child + 0.3 * old
    found["hairline"] -= 0.35 * bald
    return found


def _ranged(table, draws):
    pairs = zip(table.items(), draws.T, strict=False)
    return {name: _column(low + (high - low) * draw) for (name, (low, high)), draw in pairs}


def _picked(rows, draw):
    return rows[(draw * len(rows)).astype(int)]


def _column(x):
    return np.asarray(x, np.float32).reshape(-1, 1, 1)


def _colour(x):
    return np.asarray(x, np.float32).reshape(-1, 1, 1, 3)
