"""TFDS builder of any folder of photographs: once this module is imported, TFDS knows the name photo_folder."""

import tensorflow_datasets as tfds

from data_pipelines import cells, photos


class PhotoFolder(tfds.core.GeneratorBasedBuilder):
    """The photographs of a folder, upright and in colour, each of its own size."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "One photograph in ten to test with."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The folder holds the photographs, to any depth."
    # What became of the pictures, once they are prepared.
    report: list[str] = []

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3))
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict({"image": image, "name": tfds.features.Text()}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        found, tally = photos.scenes("photo_folder", str(dl_manager.manual_dir))
        self.report = tally.lines()
        return {split: self._generate_examples([s for s in found if s.split == split]) for split in tally.splits}

    def _generate_examples(self, scenes):
        for i, (scene, (image,)) in enumerate(cells.whole(scenes)):
            yield i, {"image": image, "name": scene.name}
