"""Draws the photographs of faces from their numbers.

A face has coordinates of its own: x to the right and y down, the eyes on y = 0, the chin of an adult near y = 1.2.
Shapes are signed distances, which give antialiased edges; the relief of the head and its wrinkles gives the shading.
Arrays of pixels are float32 [n, side, side].
"""

import numpy as np

from data_pipelines.face_numbers import Numbers, between

SIDE = 64
# Half of the picture's side in the face's units, and a pixel's.
_REACH = 1.22
_PIXEL = np.float32(2 * _REACH / SIDE)
_REDDER = (0.8, 1.0, 1.0)  # strengths that `_darken` takes for red, green and blue


def draw(person: Numbers, view: Numbers, speckle: np.ndarray) -> np.ndarray:
    """Photographs of faces, uint8 [n, 64, 64, 3].

    Args:
      person: as `face_numbers.grown` returns them.
      view: as `face_numbers.views` returns them.
      speckle: noise in [-1, 1], float32 [n, 64, 64, 3].
    """
    x, y = _coordinates(person, view)
    ax = np.abs(x)
    radius, edge = _head(person, ax, y)
    creases = _creases(person, view, ax, y)
    shade, shine = _shading(_relief(person, x, ax, y, radius) - 0.04 * creases, view)
    hair = _hair_colour(person, x, y, radius, shade, speckle)
    skin = _skin(person, x, ax, y, creases, speckle)
    _mouth(skin, person, view, x, ax, y)
    _beard(skin, person, x, ax, y, hair, speckle)
    _brows(skin, person, x, ax, y, hair)
    skin *= shade[..., None] * view["light"]
    skin += (0.16 * person["oil"] * shine)[..., None]
    _eyes(skin, person, view, x, ax, y, shade)
    towards = between(y, -1.3, 1.3)[..., None]
    canvas = view["backdrop"] * (1 - towards) + view["backdrop_low"] * towards
    _paint(canvas, _inside(_back_hair(person, ax, y)), 0.6 * hair)
    _body(canvas, person, view, ax, y)
    _paint(canvas, _inside(edge), skin)
    _paint(canvas, _front_hair(person, x, ax, y), hair)
    _glasses(canvas, person, ax, y)
    canvas = np.clip(canvas * view["exposure"][..., None], 0, 1.2) ** view["gamma"][..., None]
    canvas += view["grain"][..., None] * speckle
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def _inside(distance):
    """How much of a pixel lies inside a shape whose edge is `distance` away, negative inside."""
    return np.clip(0.5 - distance / _PIXEL, 0, 1)


def _bell(x, width):
    return np.exp(-0.5 * np.square(x / width))


def _spot(x, y, x0, y0, across, down):
    return np.exp(-0.5 * (np.square((x - x0) / across) + np.square((y - y0) / down)))


def _superellipse(x, y, across, down, power):
    """(radius, 1 on the edge; distance to the edge along the ray from the middle)."""
    power = np.asarray(power, np.float32)
    radius = np.power(np.power(np.abs(x / across), power) + np.power(np.abs(y / down), power) + 1e-6, 1 / power)
    return radius, np.hypot(x, y) * (1 - 1 / radius)


def _paint(canvas, cover, colour):
    """Lays colours over the canvas [n, side, side, 3] as far as `cover` [n, side, side] says."""
    canvas += cover[..., None] * (colour - canvas)


def _darken(canvas, amount, strengths=(1.0, 1.0, 1.0)):
    canvas *= 1 - amount[..., None] * np.asarray(strengths, np.float32)


def _coordinates(p, view):
    """Each pixel's place on the face, seen straight on."""
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) * _PIXEL - np.float32(_REACH)
    across, down = line[None, None, :] - view["shift_x"], line[None, :, None] - view["shift_y"]
    zoom = view["zoom"] * p["closer"]
    sine, cosine = np.sin(view["roll"]) / zoom, np.cos(view["roll"]) / zoom
    u, v = across * cosine + down * sine, down * cosine - across * sine
    # What is nearer moves further as the head turns.
    depth = 0.8 * np.sqrt(np.clip(1 - np.square(u / 0.8) - np.square(v / 1.15), 0, 1))
    depth += 0.15 * _spot(u, v, 0, 0.25, 0.16, 0.25)
    x = (u - np.sin(view["yaw"]) * depth) / np.cos(view["yaw"])
    return x, v - np.sin(view["pitch"]) * (depth - 0.4) + (p["top"] + p["chin_y"]) / 2


def _head(p, ax, y):
    """(radius, 1 on the outline of the head; distance to the outline)."""
    middle = 0.15
    narrowing = 1 - (1 - p["jaw"]) * between(y, 0.1, p["chin_y"])
    below = y > middle
    down = np.where(below, p["chin_y"] - middle, middle - p["top"])
    return _superellipse(ax / narrowing, y - middle, p["width"], down, np.where(below, p["chin_power"], 2.3))


def _relief(p, x, ax, y, radius):
    """The face's height over its outline, without wrinkles."""
    old, child, nose, wing, mouth, chin = (
        p[name] for name in ("old", "child", "nose_y", "nose_w", "mouth_y", "chin_y")
    )
    height = 0.8 * np.sqrt(np.clip(1 - 0.92 * radius * radius, 0, 1))
    height += p["ridge"] * _spot(ax, y, 0.28, -0.13, 0.24, 0.08)
    height -= p["socket"] * _spot(ax, y, p["eye_x"], -0.01, 0.18, 0.13)
    # The nose ends in a curve.
    end = nose - 0.3 * x * x / wing
    bridge = between(y, -0.2, nose) * (1 - between(y, end - 0.06, end + 0.15))
    height += p["nose_h"] * bridge * _bell(x, wing * (0.35 + 0.3 * between(y, 0, nose)))
    height += 0.09 * _spot(x, y, 0, nose - 0.05, 0.55 * wing, 0.09) + 0.06 * _spot(
        ax, y, 0.85 * wing, nose, 0.35 * wing, 0.06
    )
    height += p["cheek"] * _spot(ax, y, 0.47, 0.27, 0.18, 0.15) + 0.09 * child * _spot(ax, y, 0.4, 0.5, 0.2, 0.18)
    height += 0.05 * _spot(x, y, 0, mouth, 0.28, 0.13) - 0.04 * _spot(x, y, 0, mouth + 0.19, 0.18, 0.06)
    height += 0.06 * _spot(x, y, 0, chin - 0.18, 0.18, 0.12)
    # Hollow cheeks and temples, and jowls.
    height -= old * (0.09 * _spot(ax, y, 0.47, 0.62, 0.12, 0.2) + 0.06 * _spot(ax, y, 0.64, -0.3, 0.1, 0.2))
    height += 0.08 * old * _spot(ax, y, 0.43, chin - 0.22, 0.12, 0.12)
    return height


def _creases(p, view, ax, y):
    """How deep wrinkles and folds are, from 0 to about 1."""
    old, smile, corner = p["old"], np.clip(view["smile"], 0, 1), p["mouth_w"]
    # From the nose past the mouth.
    start, end = p["nose_y"] - 0.02, p["mouth_y"] + 0.04
    near, far = 0.75 * p["nose_w"] + 0.05, np.maximum(corner, p["nose_w"]) + 0.09
    fold = near + (far - near) * np.power(np.clip((y - start) / (end - start), 0, 1), 0.8)
    ends = between(y, start - 0.02, start + 0.08) * (1 - between(y, end - 0.16, end + 0.04))
    lines = (0.05 + 0.7 * old + 0.2 * smile) * _bell(ax - fold, 0.034) * ends
    # From the corners of the mouth down.
    below = y - p["mouth_y"]
    ends = between(below, 0, 0.08) * (1 - between(below, 0.18, 0.32))
    lines += 0.5 * between(old, 0.25, 0.95) * _bell(ax - corner - 0.03 - 0.2 * below, 0.03) * ends
    # Across the forehead, and between the brows.
    above = y - p["brow_y"]
    for row in range(3):
        across = _bell(above + 0.14 + 0.105 * row - 0.12 * ax * ax, 0.018)
        lines += 0.9 * between(old, 0.1, 0.75) * (1 - between(ax, 0.25, 0.5)) * across
    lines += 0.7 * between(old, 0.15, 0.8) * _bell(ax - 0.06, 0.018) * _bell(above - 0.02, 0.07)
    # Beside the eyes, and under them.
    away = ax - p["eye_x"] - 1.15 * p["eye_size"]
    ends = (0.8 * between(old, 0.12, 0.8) + 0.1 * smile) * between(away, 0, 0.04) * (1 - between(away, 0.1, 0.2))
    for slope in (-0.5, 0.0, 0.5):
        lines += _bell(y - 0.01 - slope * away, 0.016) * ends
    away = ax - p["eye_x"]
    bag = y - 0.95 * p["eye_size"] - 0.03 + 0.9 * away * away
    return lines + (0.1 + 0.9 * old) * _bell(bag, 0.022) * (1 - between(np.abs(away), 0.1, 0.19))


def _shading(relief, view):
    """(light that falls on the surface, light that it mirrors)."""
    down, across = np.gradient(relief, _PIXEL, axis=(1, 2))
    facing = view["light_z"] - across * view["light_x"] - down * view["light_y"]
    facing = np.clip(facing / np.sqrt(1 + down * down + across * across), 0, 1)
    return view["ambient"] + (1.08 - view["ambient"]) * facing, np.power(facing, 18)


def _hair_colour(p, x, y, radius, shade, speckle):
    turn = np.arctan2(x - 0.15 * p["parting"], -(y + 0.15))
    wave = p["curl"] * np.sin(9 * radius + 3 * turn)
    strands = np.sin(19 * turn + 4 * wave + p["phase"]) + 0.8 * np.sin(47 * turn + 7 * wave + 2 * p["phase"])
    mixed = p["grey"] + 0.3 * p["grey"] * (1 - p["grey"]) * (strands + speckle[..., 0])
    mixed = np.clip(mixed, 0, 1)[..., None]
    colour = p["hair"] * (1 - mixed) + np.float32([0.7, 0.69, 0.68]) * mixed
    texture = (0.8 + 0.07 * strands + 0.1 * _bell(radius - 0.9, 0.1)) * (0.45 + 0.55 * shade)
    return colour * texture[..., None]


def _back_hair(p, ax, y):
    """Distance to the edge of the hair behind the head."""
    middle, volume = -0.1, p["hair_volume"]
    below = y > middle
    down = np.where(below, np.maximum(p["hair_length"] - middle, 0.05), middle - p["top"] + 0.9 * volume)
    _, edge = _superellipse(ax, y - middle, p["width"] + 0.7 * volume, down, np.where(below, 3.5, 2.2))
    return edge + 0.25 * (p["bald"] > 0.75)


def _front_hair(p, x, ax, y):
    """How much of each pixel is hair that lies on the head."""
    middle = -0.1
    down = np.where(y > middle, 1.2, middle - p["top"] + p["hair_volume"])
    _, outer = _superellipse(ax, y - middle, p["width"] + 0.03 + 0.6 * p["hair_volume"], down, 2.2)
    # Free of hair is the face below the hairline, which goes up at the temples first.
    line = p["hairline"] + p["fringe"] + 0.12 * p["parting"] * x + p["bend"] * ax * ax
    forehead = line - 0.3 * p["bald"] * _bell(ax - 0.42, 0.16) - y
    narrowing = 1 - 0.22 * between(y, 0.1, 0.9) * between(p["hair_length"], 0.3, 0.6)
    bare = np.maximum(forehead, ax - p["width"] * (0.93 - 0.05 * p["old"]) * narrowing)
    distance = np.maximum(np.maximum(outer, -bare), y - p["hair_length"])
    distance += 0.03 * p["curl"] * np.sin(14 * ax + 10 * y + p["phase"])
    # In the end a wreath is left.
    return _inside(distance) * (1 - between(p["bald"], 0.55, 0.9) * (1 - between(y, -0.5, -0.25)))


def _skin(p, x, ax, y, creases, speckle):
    """The colour of the skin in white light."""
    old, nose = p["old"], p["nose_y"]
    skin = np.broadcast_to(p["skin"], speckle.shape).copy()
    blush = (0.5 * p["child"] + p["blush"]) * _spot(ax, y, 0.45, 0.42, 0.17, 0.14) + 0.3 * _spot(
        x, y, 0, nose, 0.12, 0.1
    )
    _darken(skin, 0.3 * blush, (0.2, 1.0, 0.9))
    freckles = p["freckles"] * np.clip(speckle[..., 1] - 0.35, 0, 1) * _spot(ax, y, 0.25, 0.25, 0.3, 0.2)
    _darken(skin, 0.8 * freckles + 0.5 * old * np.clip(speckle[..., 2] - 0.6, 0, 1), (0.6, 1.0, 1.2))
    _darken(skin, 0.25 * old * _spot(ax, y, p["eye_x"], 0.1, 0.2, 0.12) + np.clip(0.4 * creases, 0, 0.5), _REDDER)
    _darken(skin, -0.05 * old * speckle[..., 0])
    skin += (0.1 * old)[..., None] * (skin.mean(-1, keepdims=True) - skin)
    for mole in ("mole", "mark"):
        away = np.hypot(x - p[f"{mole}_x"], y - p[f"{mole}_y"]) - p[mole]
        _paint(skin, 0.8 * _inside(away) * (p[mole] > 0), 0.35 * p["skin"])
    nostrils = _spot(ax, y, 0.5 * p["nose_w"], nose + 0.03, 0.28 * p["nose_w"], 0.022)
    _darken(skin, 0.6 * nostrils + 0.15 * _spot(x, y, 0, nose + 0.1, 0.7 * p["nose_w"], 0.05), _REDDER)
    return skin


def _body(canvas, p, view, ax, y):
    """Shoulders, neck and ears."""
    shoulders = np.hypot(ax / 1.5, (y - 2.35) / 0.95) - 1
    _paint(canvas, _inside(shoulders), view["clothes"] * (0.75 + 0.25 * between(y, 1, 2))[..., None])
    neck = ax - p["neck"] - 0.25 * np.square(np.clip(y - 1, 0, 1))
    shadow = 0.55 + 0.25 * between(y, p["chin_y"], p["chin_y"] + 0.4)
    skin = p["skin"] * view["light"]
    _paint(canvas, _inside(neck) * between(y, 0.3, 0.5), skin * shadow[..., None])
    _, ear = _superellipse(ax - p["width"] - 0.02, y - 0.16, 0.1 * p["ear"], 0.21 * p["ear"] * (1 + 0.15 * p["old"]), 2)
    _paint(canvas, _inside(ear), skin * (0.62 + 0.3 * between(ax, p["width"], p["width"] + 0.1))[..., None])


def _mouth(skin, p, view, x, ax, y):
    smile = view["smile"]
    wide = p["mouth_w"] * (1 + 0.14 * np.clip(smile, 0, 1))
    along = np.square(x / wide)
    inner = np.clip(1 - along, 0, 1)
    # Corners rise with a smile and sink with age.
    line = p["mouth_y"] + 0.03 * smile - (0.09 * smile - 0.06 * p["old"]) * along
    gape = 0.5 * np.clip(smile - 0.55, 0, 1) * inner
    top, low, ends = line - 0.4 * gape, line + 0.6 * gape, ax - wide
    upper = np.maximum(top - p["lip"] * (1 - 0.25 * _bell(x, 0.05)) * np.sqrt(inner) - y, y - top)
    lower = np.maximum(low - y, y - low - 1.25 * p["lip"] * np.power(inner, 0.7))
    colour = p["skin"] * (1 - p["red"][..., None] * np.float32([0.25, 1.0, 0.85]))
    _paint(skin, 0.9 * _inside(np.maximum(upper, ends)), 0.88 * colour)
    _paint(skin, 0.9 * _inside(np.maximum(lower, ends)), colour)
    is_open = gape > 0.01
    teeth = between(low - y, 0.0, 0.05)[..., None] * np.float32([0.55, 0.7, 0.66])
    gap = _inside(np.maximum(np.maximum(top - y, y - low), ends))
    _paint(skin, gap * is_open, np.float32([0.3, 0.1, 0.1]) + teeth)
    _darken(skin, 0.6 * _bell(y - line, 0.018) * np.sqrt(inner) * ~is_open, _REDDER)


def _beard(skin, p, x, ax, y, hair, speckle):
    under_nose = between(y, p["nose_y"] + 0.05, p["nose_y"] + 0.16)
    cheeks = between(ax, 0.4, 0.6) * between(y, 0.3, 0.6)
    lip = 1 - between(ax, p["mouth_w"], p["mouth_w"] + 0.18)
    area = np.maximum(under_nose * np.maximum(cheeks, lip), between(y, p["mouth_y"], p["mouth_y"] + 0.25))
    area = area * (1 - np.clip(1.3 * _spot(x, y, 0, p["mouth_y"], 0.8 * p["mouth_w"], 0.07), 0, 1))
    _paint(skin, np.clip(p["beard"] * area * (0.8 + 0.3 * speckle[..., 1]), 0, 0.92), 0.85 * hair)


def _brows(skin, p, x, ax, y, hair):
    along = (ax - p["eye_x"]) / (1.35 * p["eye_size"])
    curve = p["brow_y"] + p["skew"] * np.sign(x) - p["arch"] * (1 - along * along) + p["brow_tilt"] * along
    thick = p["brow_thick"] * (1 - 0.55 * between(along, 0, 1.1))
    ends = between(along, p["brow_in"], p["brow_in"] + 0.25) * (1 - between(along, 1.0, 1.25))
    _paint(skin, 0.85 * _inside(np.abs(y - curve) - thick) * ends, 0.7 * hair)


def _eyes(skin, p, view, x, ax, y, shade):
    size, side, away = p["eye_size"], np.sign(x), ax - p["eye_x"]
    _darken(skin, p["shadow"] * _spot(ax, y, p["eye_x"], -0.1, 0.17, 0.07), (0.8, 1.0, 0.7))
    level = y + p["eye_tilt"] * away
    inner = 1 - np.square(away / size)
    opening = p["eye_open"] * view["open"] * size
    lid, bottom = -opening * np.sign(inner) * np.power(np.abs(inner), 0.8), 0.62 * opening * inner
    inside = _inside(np.maximum(lid - level, level - bottom)) * (inner > 0)
    light = (0.55 + 0.45 * np.clip(shade, 0, 1)) * (0.72 + 0.28 * between(level - lid, 0, 0.08))
    white = np.float32([0.93, 0.91, 0.89]) - p["old"][..., None] * np.float32([0.02, 0.06, 0.09])
    _paint(skin, inside, white * light[..., None])
    across, down = away - side * view["gaze_x"], level - view["gaze_y"]
    off = np.hypot(across, down + 0.01)
    _paint(
        skin,
        inside * _inside(off - 0.56 * size),
        p["iris"] * (1.15 - 0.6 * between(off, 0.1 * size, 0.5 * size))[..., None],
    )
    _paint(skin, inside * _inside(off - 0.24 * size), np.float32([0.03, 0.03, 0.03]))
    _paint(skin, inside * _inside(np.hypot(across + 0.03 * side, down + 0.05) - 0.018), np.float32([1, 1, 1]))
    near = 1 - between(np.abs(away), 0.95 * size, 1.2 * size)
    _darken(skin, p["lash"] * _bell(level - lid, 0.02) * near)
    fold = _bell(level - lid + p["hood"] * (1 - 0.5 * p["old"]) + 0.02, 0.02)
    _darken(skin, (0.25 + 0.3 * p["old"]) * fold * near, _REDDER)
    _darken(skin, 0.25 * _bell(level - bottom, 0.016) * near, (0.6, 1.0, 1.0))


def _glasses(canvas, p, ax, y):
    _, rim = _superellipse(ax - p["eye_x"] - 0.01, y - 0.03, p["glass_w"], p["glass_h"], 3)
    bridge = np.maximum(np.abs(y + 0.04) - 0.02, ax - p["eye_x"] + 0.8 * p["glass_w"])
    arms = np.maximum(np.abs(y + 0.05) - 0.018, np.maximum(p["eye_x"] + 0.9 * p["glass_w"] - ax, ax - p["width"]))
    frame = np.minimum(np.minimum(np.abs(rim) - p["glass_rim"], bridge), arms)
    _paint(canvas, _inside(frame) * p["glasses"], p["glass"])
