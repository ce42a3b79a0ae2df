"""TFDS builder of pairs of photographs: once this module is imported, TFDS knows the name blur_pairs."""

import tensorflow_datasets as tfds

from data_pipelines import cells, photos


class BlurPairs(tfds.core.GeneratorBasedBuilder):
    """Photographs, and blurred ones of the same scenes."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The folder's own split, or one group in ten to test with."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder holds the pairs as data_pipelines.blur_pairs.find describes them."
    # What became of the pictures, once they are prepared.
    report: list[str] = []

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3))
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict({"image": image, "source": image, "name": tfds.features.Text()}),
            supervised_keys=("source", "image"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        found, tally = photos.scenes("blur_pairs", str(dl_manager.manual_dir))
        self.report = tally.lines()
        return {split: self._generate_examples([s for s in found if s.split == split]) for split in tally.splits}

    def _generate_examples(self, scenes):
        for i, (scene, (sharp, blurred)) in enumerate(cells.whole(scenes)):
            yield i, {"image": sharp, "source": blurred, "name": scene.name}
