"""TFDS builder of the CERTH image blur set: once this module is imported, TFDS knows the name certh_blur."""

import tensorflow_datasets as tfds

from data_pipelines import cells, certh_blur, photos


class CerthBlur(tfds.core.GeneratorBasedBuilder):
    """Photographs that are sharp, naturally blurred or artificially blurred, each of its own size."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The training set, and the two evaluation sets with the labels of their sheets."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The folder holds what http://mklab.iti.gr/files/imageblur/CERTH_ImageBlurDataset.zip unpacks to."
    )
    # What became of the pictures, once they are prepared.
    report: list[str] = []

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=certh_blur.LABELS),
            "name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://mklab.iti.gr/results/certh-image-blur-dataset/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        found, unmatched = certh_blur.find(str(dl_manager.manual_dir))
        # The label travels as the scene's group.
        measured, unreadable, _ = photos.measure([cells.Scene(x.name, (x.path,), x.label, x.part) for x in found])
        parts = {part: [scene for scene in measured if scene.split == part] for part in ("train", "natural", "digital")}
        counts = {part: len(scenes) for part, scenes in parts.items()}
        self.report = photos.Tally(counts, {}, unreadable, unmatched).lines()
        return {part: self._generate_examples(scenes) for part, scenes in parts.items() if scenes}

    def _generate_examples(self, scenes):
        for i, (scene, (image,)) in enumerate(cells.whole(scenes)):
            yield i, {"image": image, "label": scene.group, "name": scene.name}
