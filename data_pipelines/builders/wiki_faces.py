"""TFDS builder of wiki_crop: once this module is imported, TFDS knows the name wiki_faces. For research only."""

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import ages, wiki_faces


class WikiFaces(tfds.core.GeneratorBasedBuilder):
    """Faces of Wikipedia with ages, 64x64, nobody in both splits; see `data_pipelines.wiki_faces`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Faces with an age from 1 to 116, a score of 1 or more, in colour, alone."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Unpack wiki_crop.tar; its folder, with wiki.mat, is the manual folder."

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(64, 64, 3)),
                    "label": tfds.features.ClassLabel(names=ages.GROUPS),
                    "age": tfds.features.Scalar(np.int64),
                    "identity": tfds.features.Scalar(np.int64),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://data.vision.ee.ethz.ch/cvl/rrothe/imdb-wiki/",
            # Stored in the order of wiki.mat.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        splits, _ = wiki_faces.read(str(dl_manager.manual_dir))
        return {split: self._generate_examples(arrays) for split, arrays in splits.items()}

    def _generate_examples(self, arrays):
        for i in range(len(arrays["label"])):
            yield i, {name: array[i] for name, array in arrays.items()}
