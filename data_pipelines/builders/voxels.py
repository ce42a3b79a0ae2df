"""TFDS builders of volumes; once this module is imported, `tfds.load` knows 'shapenet_voxels' and 'mesh_voxels'.

folder = tfds.download.DownloadConfig(manual_dir=FOLDER)
config = voxels.VoxelConfig(name="chairs", classes=("chair",))
builder = tfds.builder("mesh_voxels", config=config)
builder.download_and_prepare(download_config=folder)
"""

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import meshes, shapenet


@dataclasses.dataclass
class VoxelConfig(tfds.core.BuilderConfig):
    """What to make of the files: side of the grid, classes to take (none: all), and for meshes whether filled."""

    resolution: int = 32
    classes: tuple[str, ...] = ()
    filled: bool = False


class _Voxels(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "x to the right, y up, z to the front."}
    BUILDER_CONFIGS = [VoxelConfig(name="32"), VoxelConfig(name="64", resolution=64)]

    def _info(self):
        side, classes = self.builder_config.resolution, self.builder_config.classes
        label = tfds.features.ClassLabel(names=list(classes)) if classes else tfds.features.Scalar(np.int64)
        image = tfds.features.Tensor(shape=(side, side, side, 1), dtype=np.uint8, encoding="zlib")
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict({"image": image, "label": label}),
            supervised_keys=("image", "label"),
            # Stored in the order of the reader, so that both ways of reading give the same batches.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        arrays, _ = self._read(str(dl_manager.manual_dir), self.builder_config)
        return {
            split: self._generate_examples(arrays[f"{split}_image"], arrays[f"{split}_label"])
            for split in ("train", "test")
        }

    def _generate_examples(self, image, label):
        for i in range(len(label)):
            yield i, {"image": image[i], "label": label[i]}


class ShapenetVoxels(_Voxels):
    """Volumes of 3D ShapeNets, Wu et al. 2015, arXiv 1406.5670, in both of its splits."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "manual_dir is the folder of 3D ShapeNets that holds volumetric_data."

    def _read(self, folder, config):
        return shapenet.read_folder(folder, config.resolution, classes=config.classes)


class MeshVoxels(_Voxels):
    """Meshes and furniture catalogues (.sh3f) as volumes."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "manual_dir is a folder of OBJ, STL, PLY, GLB, OFF or .sh3f files."

    def _read(self, folder, config):
        return meshes.read([folder], config.resolution, classes=config.classes, filled=config.filled)
