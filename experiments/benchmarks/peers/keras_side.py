"""The benchmark's rows in Keras on TensorFlow: the documents' calls of `train_on_batch`, or one fused function."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it complains of its own optimizer

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from experiments.benchmarks.peers.layers import (
    EPSILON,
    LEAK,
    Activation,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    Fold,
    JoinLabel,
    Pool,
    Reshape,
    Residual,
    Shape,
    Unfold,
    Upsample,
    Weights,
)
from experiments.benchmarks.peers.ours import Batches
from experiments.benchmarks.peers.row import Row, given, one_hot

NAMES = {"kernel": "kernel", "scale": "gamma", "bias": "bias", "mean": "moving_mean", "var": "moving_variance"}


class _Fold(keras.layers.Layer):
    def call(self, x):
        return tf.nn.space_to_depth(x, 2)


class _Unfold(keras.layers.Layer):
    def call(self, x):
        return tf.nn.depth_to_space(x, 2)


class _Join(keras.layers.Layer):
    def call(self, x, label):
        shape = tf.shape(x)
        tiled = tf.broadcast_to(label[:, None, None], (shape[0], shape[1], shape[2], label.shape[-1]))
        return tf.concat([x, tiled], -1)


class Network:
    """A Keras model of layers, and those of its layers that have weights, in the order of their calls.

    The model takes [x, one-hot labels] where a layer joins labels.
    """

    def __init__(self, layers: Sequence[Any], shape: Shape, weights: Weights):
        self._weighted: list[keras.layers.Layer] = []
        inputs = [keras.Input(shape)]
        if classes := next((layer.classes for layer in layers if isinstance(layer, JoinLabel)), 0):
            inputs.append(keras.Input((classes,)))
        outputs = self._through(layers, inputs[0], inputs[-1])
        self.model = keras.Model(inputs if classes else inputs[0], outputs)
        self._names = [tuple(own) for own in weights]
        for layer, own in zip(self._weighted, weights, strict=True):
            for name, leaf in own.items():
                _variable(layer, name).assign(leaf)

    def _through(self, layers, x, label):
        for layer in layers:
            if isinstance(layer, Residual):
                x = keras.layers.Add()([x, self._through(layer.layers, x, label)])
                continue
            made = _keras_layer(layer, len(x.shape) - 2)
            if isinstance(layer, Dense | Conv | ConvTranspose | BatchNorm):
                self._weighted.append(made)
            x = made(x, label) if isinstance(layer, JoinLabel) else made(x)
        return x

    def weights(self) -> Weights:
        return [
            {name: np.array(_variable(layer, name)) for name in names}
            for layer, names in zip(self._weighted, self._names, strict=True)
        ]


def _variable(layer, name):
    return (
        layer.beta
        if isinstance(layer, keras.layers.BatchNormalization) and name == "bias"
        else getattr(layer, NAMES[name])
    )


def _keras_layer(layer: Any, dimensions: int) -> keras.layers.Layer:
    volumes = dimensions == 3
    match layer:
        case Dense(units):
            return keras.layers.Dense(units)
        case Conv(features, size, stride, padding):
            return (keras.layers.Conv3D if volumes else keras.layers.Conv2D)(features, size, stride, padding)
        case ConvTranspose(features, size, stride, padding):
            kind = keras.layers.Conv3DTranspose if volumes else keras.layers.Conv2DTranspose
            return kind(features, size, stride, padding)
        case BatchNorm(momentum):
            return keras.layers.BatchNormalization(momentum=momentum, epsilon=EPSILON)
        case Activation("leaky"):
            return keras.layers.LeakyReLU(LEAK)
        case Activation(name):
            return keras.layers.Activation(name)
        case Dropout(rate):
            return keras.layers.Dropout(rate)
        case Pool(name):
            return {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}[name](2)
        case Upsample():
            return keras.layers.UpSampling2D()
        case Fold():
            return _Fold()
        case Unfold():
            return _Unfold()
        case Flatten():
            return keras.layers.Flatten()
        case Reshape(new):
            return keras.layers.Reshape(new)
        case JoinLabel():
            return _Join()
    raise TypeError(f"No layer of Keras' for {layer}.")


def _optimizer(name, rate):
    if name == "sgd":
        return keras.optimizers.SGD(rate)
    return keras.optimizers.Adam(2e-4, 0.5, 0.999, 1e-7)


class _Players:
    """What both ways of training share: the networks, and batches in their form."""

    def __init__(self, row: Row, batches: Batches, weights: dict[str, Weights]):
        self._row = row
        self._generator = Network(row.generator, row.given, weights["generator"])
        self._discriminator = Network(row.discriminator, row.image, weights["discriminator"])
        self._content = None
        if row.content:
            self._content = Network(row.content, row.image, weights["content"]).model
            self._content.trainable = False
        self._batches = [
            (given(row, batch), batch["image"], one_hot(row, batch) if row.classes else None) for batch in batches
        ]
        self._taken = 0

    def weights(self) -> dict[str, Weights]:
        """Of generator and discriminator."""
        return {"generator": self._generator.weights(), "discriminator": self._discriminator.weights()}

    def _next(self):
        self._taken += 1
        return self._batches[(self._taken - 1) % len(self._batches)]


class Side(_Players):
    """The documents' way: the discriminator is trained by itself, then the generator through it while it is frozen.

    Frozen are the discriminator's variables and not its layers, which would put its batch norms into inference mode;
    and this after its own first call, from which on its training function knows what it moves. (Frozen before it, as
    many programs do it, it never moves at all.)
    """

    def __init__(self, row: Row, batches: Batches, weights: dict[str, Weights], optimizer: str = "adam"):
        super().__init__(row, batches, weights)
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        judge = self._discriminator.model
        judge.compile(_optimizer(optimizer, row.rate), entropy)

        inputs = [keras.Input(row.given)] + ([keras.Input((row.classes,))] if row.classes else [])
        made = self._generator.model(inputs[0])
        verdict = judge([made, inputs[1]] if row.classes else made)
        outputs, loss, share = verdict, entropy, None
        if row.content:
            outputs, loss = [verdict, self._content(made)], [entropy, keras.losses.MeanSquaredError()]
            share = [row.coefficients["adversarial"], row.coefficients["content"]]
        self._combined = keras.Model(inputs if row.classes else inputs[0], outputs)
        self._combined.compile(_optimizer(optimizer, row.rate), loss, loss_weights=share)

    def __call__(self) -> dict[str, float]:
        """One step: the loss of the generator."""
        given, image, label = self._next()
        row, judge = self._row, self._discriminator.model
        fakes = self._generator.model.predict_on_batch(given)

        def seen(pictures):
            return [pictures, label] if row.classes else pictures

        ones = np.ones((row.batch_size, *judge.output_shape[1:]), np.float32)
        if row.mixed:
            judge.train_on_batch(np.concatenate([image, fakes]), np.concatenate([row.real_label * ones, 0 * ones]))
        else:
            judge.train_on_batch(seen(image), row.real_label * ones)
            judge.train_on_batch(seen(fakes), 0 * ones)
        if self._taken == 1:
            for variable in judge.trainable_variables:
                variable.trainable = False
        goal = [ones, self._content.predict_on_batch(image)] if row.content else ones
        loss = self._combined.train_on_batch([given, label] if row.classes else given, goal)
        return {"generator/loss": float(np.ravel(loss)[0])}


class FusedSide(_Players):
    """All turns of a step in one `tf.function`."""

    def __init__(self, row: Row, batches: Batches, weights: dict[str, Weights], optimizer: str = "adam"):
        super().__init__(row, batches, weights)
        self._batches = [tuple(None if x is None else tf.constant(x) for x in batch) for batch in self._batches]
        self._optimizers = {}
        for name, network in (("generator", self._generator), ("discriminator", self._discriminator)):
            self._optimizers[name] = _optimizer(optimizer, row.rate)
            self._optimizers[name].build(network.model.trainable_variables)
        self._step = tf.function(self._turns)

    def __call__(self) -> dict[str, float]:
        """One step: the loss of the generator."""
        return {"generator/loss": float(self._step(*self._next()))}

    def _turns(self, given, image, label):
        generator, row = self._generator.model, self._row
        fakes = generator(given, training=False)
        if row.mixed:
            count = row.batch_size
            goal = tf.concat([tf.fill((count, 1), row.real_label), tf.zeros((count, 1))], 0)
            self._judge(tf.concat([image, fakes], 0), label, goal)
        else:
            self._judge(image, label, row.real_label)
            self._judge(fakes, label, 0.0)
        with tf.GradientTape() as tape:
            made = generator(given, training=True)
            loss = row.coefficients["adversarial"] * _cross_entropy(self._verdict(made, label), 1.0)
            if row.content:
                difference = tf.math.squared_difference(self._content(made), self._content(image))
                loss += row.coefficients["content"] * tf.reduce_mean(difference)
        self._descend("generator", tape, loss, generator.trainable_variables)
        return loss

    def _verdict(self, pictures, label):
        return self._discriminator.model(pictures if label is None else [pictures, label], training=True)

    def _judge(self, pictures, label, goal):
        with tf.GradientTape() as tape:
            loss = _cross_entropy(self._verdict(pictures, label), goal)
        self._descend("discriminator", tape, loss, self._discriminator.model.trainable_variables)

    def _descend(self, player, tape, loss, variables):
        self._optimizers[player].apply(tape.gradient(loss, variables), variables)


def _cross_entropy(logits, label):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(label, tf.shape(logits)), logits))
