"""face-api.js' networks written a second time: from its tensors by their own names, in Keras' operations."""

import json

import jax
import numpy as np
from keras import ops

MEAN = [122.782, 117.001, 104.298]
STAGES = ((32, 3), (64, 3), (128, 2), (256, 2))
BLOCKS = (("entry_flow/reduction_block_0", 32, 64), ("entry_flow/reduction_block_1", 64, 128))


def _scaled(name, size, channels, filters):
    yield f"{name}/conv/filters", (size, size, channels, filters)
    for part in ("conv/bias", "scale/weights", "scale/biases"):
        yield f"{name}/{part}", (filters,)


def recogniser_shapes():
    """{name: shape} of face_recognition_model."""
    yield from _scaled("conv32_down", 7, 3, 32)
    channels = 32
    for filters, repetitions in STAGES:
        names = [f"conv{filters}_{i}" for i in range(1, repetitions + 1)]
        for name in names if filters == 32 else [f"conv{filters}_down", *names]:
            yield from _scaled(f"{name}/conv1", 3, channels, filters)
            yield from _scaled(f"{name}/conv2", 3, filters, filters)
            channels = filters
    yield from _scaled("conv256_down_out/conv1", 3, 256, 256)
    yield from _scaled("conv256_down_out/conv2", 3, 256, 256)
    yield "fc", (256, 128)


def _separable(name, channels, filters):
    yield f"{name}/depthwise_filter", (3, 3, channels, 1)
    yield f"{name}/pointwise_filter", (1, 1, channels, filters)
    yield f"{name}/bias", (filters,)


def age_shapes():
    """{name: shape} of age_gender_model."""
    yield from [("entry_flow/conv_in/filters", (3, 3, 3, 32)), ("entry_flow/conv_in/bias", (32,))]
    for name, channels, filters in (*BLOCKS, ("exit_flow/reduction_block", 128, 256)):
        yield from _separable(f"{name}/separable_conv0", channels, filters)
        yield from _separable(f"{name}/separable_conv1", filters, filters)
        yield f"{name}/expansion_conv/filters", (1, 1, channels, filters)
        yield f"{name}/expansion_conv/bias", (filters,)
    for block in range(2):
        for index in range(3):
            yield from _separable(f"middle_flow/main_block_{block}/separable_conv{index}", 128, 128)
    yield from _separable("exit_flow/separable_conv", 256, 512)
    for name, width in (("age", 1), ("gender", 2)):
        yield from [(f"fc/{name}/weights", (512, width)), (f"fc/{name}/bias", (width,))]


def tensors(shapes):
    """Arbitrary values that keep activations near one."""
    generator = np.random.default_rng(0)
    found = {}
    for name, shape in shapes:
        inputs = np.prod(shape[:-1]) if len(shape) > 1 else 100
        if name.endswith("depthwise_filter"):
            inputs = 9
        found[name] = (generator.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
        if name.endswith("scale/weights"):
            found[name] = np.abs(found[name]) + np.float32(0.5)
    return found


def write(folder, networks):
    """The folder of face-api's weights, {'face_recognition_model': tensors, 'age_gender_model': tensors}."""
    folder.mkdir(exist_ok=True)
    for stem, found in networks.items():
        weights = [{"name": name, "shape": list(x.shape), "dtype": "float32"} for name, x in found.items()]
        manifest = [{"paths": [f"{stem}.bin"], "weights": weights}]
        (folder / f"{stem}-weights_manifest.json").write_text(json.dumps(manifest))
        (folder / f"{stem}.bin").write_bytes(b"".join(x.tobytes() for x in found.values()))


def _normalised(pixels):
    return (pixels - np.float32(MEAN)) / np.float32(255)


def descriptors(found, pixels):
    """Of pixels [n, 150, 150, 3] in 0..255."""

    def scaled(x, name, strides=1, padding="same"):
        x = ops.conv(x, found[f"{name}/conv/filters"], strides, padding) + found[f"{name}/conv/bias"]
        return x * found[f"{name}/scale/weights"] + found[f"{name}/scale/biases"]

    def residual(x, name):
        return ops.relu(scaled(ops.relu(scaled(x, f"{name}/conv1")), f"{name}/conv2") + x)

    def residual_down(x, name):
        y = scaled(ops.relu(scaled(x, f"{name}/conv1", 2, "valid")), f"{name}/conv2")
        pooled = ops.average_pool(x, 2, 2, "valid")
        if pooled.shape[1] != y.shape[1]:
            y = ops.concatenate([y, ops.zeros((y.shape[0], 1, *y.shape[2:]))], 1)
            y = ops.concatenate([y, ops.zeros((*y.shape[:2], 1, y.shape[3]))], 2)
        if pooled.shape[3] != y.shape[3]:
            pooled = ops.concatenate([pooled, ops.zeros_like(pooled)], 3)
        return ops.relu(pooled + y)

    with jax.numpy_rank_promotion("allow"):  # Keras' own code relies on it
        x = ops.relu(scaled(_normalised(pixels), "conv32_down", 2, "valid"))
        x = ops.max_pool(x, 3, 2, "valid")
        for filters, repetitions in STAGES:
            x = x if filters == 32 else residual_down(x, f"conv{filters}_down")
            for repetition in range(1, repetitions + 1):
                x = residual(x, f"conv{filters}_{repetition}")
        x = residual_down(x, "conv256_down_out")
        return np.asarray(ops.mean(x, (1, 2)) @ found["fc"])


def ages_and_genders(found, pixels):
    """Of pixels [n, 112, 112, 3] in 0..255."""

    def separable(x, name):
        depthwise, pointwise = (found[f"{name}/{part}_filter"] for part in ("depthwise", "pointwise"))
        return ops.separable_conv(x, depthwise, pointwise, 1, "same") + found[f"{name}/bias"]

    def reduction(x, name, activate=True):
        y = separable(ops.relu(x) if activate else x, f"{name}/separable_conv0")
        y = separable(ops.relu(y), f"{name}/separable_conv1")
        y = ops.max_pool(y, 3, 2, "same")
        conv = f"{name}/expansion_conv"
        return y + ops.conv(x, found[f"{conv}/filters"], 2, "same") + found[f"{conv}/bias"]

    def main(x, name):
        y = x
        for index in range(3):
            y = separable(ops.relu(y), f"{name}/separable_conv{index}")
        return x + y

    with jax.numpy_rank_promotion("allow"):
        conv = "entry_flow/conv_in"
        x = ops.conv(_normalised(pixels), found[f"{conv}/filters"], 2, "same") + found[f"{conv}/bias"]
        x = reduction(ops.relu(x), "entry_flow/reduction_block_0", activate=False)
        x = reduction(x, "entry_flow/reduction_block_1")
        for block in range(2):
            x = main(x, f"middle_flow/main_block_{block}")
        x = reduction(x, "exit_flow/reduction_block")
        x = ops.relu(separable(x, "exit_flow/separable_conv"))
        x = ops.average_pool(x, 7, 2, "valid").reshape(len(pixels), -1)
        age, gender = (x @ found[f"fc/{name}/weights"] + found[f"fc/{name}/bias"] for name in ("age", "gender"))
        return np.asarray(age)[:, 0], np.asarray(ops.softmax(gender))
