"""The command that restores photographs, as a user calls it."""

import jax
import numpy as np
import pytest
from PIL import Image, ImageCms

from data_pipelines import degrade
from experiments import photo_files, runs
from experiments.checkpoints import Checkpoints
from experiments.commands import UsageError
from experiments.configs import deblur, srgan
from tests.experiments import programs, untrained
from tests.experiments.test_commands import assert_refused

PIXELS = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (21, 34), np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory):
    """A run that makes pictures four times as large, by arbitrary weights."""
    folder = tmp_path_factory.mktemp("runs") / "srgan"
    untrained.write(folder, srgan.get_config("tiny"))
    return folder


@pytest.fixture(scope="module")
def neutral(tmp_path_factory):
    """A run for blurred pictures that has not learned anything yet and leaves them as they are."""
    folder, config = tmp_path_factory.mktemp("runs") / "deblur", deblur.get_config("tiny")
    gan = runs.build(config, axis=None)
    state = jax.jit(lambda: gan.phases["pretrain"].enter(runs.initial(config, gan)))()
    runs.record_run(folder, config, {})
    with Checkpoints(folder / "checkpoints", None) as checkpoints:
        checkpoints.save(0, state, {"phase": "pretrain"})
    return folder


def apply(workdir, source, target, *arguments):
    return programs.call("apply", f"--workdir={workdir}", f"--input={source}", f"--output={target}", *arguments)


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_one_photograph_is_enlarged(enlarging, tmp_path):
    transparent = np.concatenate([PIXELS, ALPHA[..., None]], -1)
    Image.fromarray(transparent).save(tmp_path / "in.png", icc_profile=PROFILE)
    done = apply(enlarging, tmp_path / "in.png", tmp_path / "new" / "out.tif")
    assert done.returncode == 0, done.stderr
    assert "1 restored" in done.stdout
    with Image.open(tmp_path / "new" / "out.tif") as restored:
        assert (restored.mode, restored.size) == ("RGBA", (136, 84))
        assert restored.info["icc_profile"] == PROFILE
        found = np.asarray(restored)
    gan, state = runs.load(enlarging)
    expected = gan.sample(state, {"source": PIXELS[None] / np.float32(127.5) - 1}, None)["restored"][0]
    np.testing.assert_allclose(found[..., :3] / 127.5 - 1, expected, atol=0.6 / 127.5)
    np.testing.assert_array_equal(found[..., 3], Image.fromarray(ALPHA).resize((136, 84), Image.Resampling.BICUBIC))


def test_a_folder_with_every_kind_of_photograph(neutral, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    grey = PIXELS[..., 0]
    turned = Image.Exif()
    turned[0x0112] = 6  # the first row is the right side
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "16 bits.png")
    Image.fromarray(np.stack([grey, ALPHA], -1)).save(folder / "alpha.webp", lossless=True)
    Image.fromarray(np.stack([grey, ALPHA], -1)).save(folder / "grey alpha.tif")
    Image.fromarray(PIXELS).save(folder / "turned.tiff", exif=turned)
    Image.fromarray(PIXELS).save(folder / "old.bmp")
    Image.fromarray(PIXELS).resize((340, 210)).save(folder / "photo.JPG", quality=98)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cut = (folder / "16 bits.png").read_bytes()
    (folder / "cut.png").write_bytes(cut[: len(cut) // 2])
    (folder / "notes.txt").write_text("no picture")

    done = apply(neutral, folder, tmp_path / "out")
    assert done.returncode == 1
    assert "6 restored" in done.stdout
    assert [name in done.stderr.split("not restored: ", 1)[1] for name in ("broken.png", "cut.png")] == [True, True]
    names = ["16 bits.png", "alpha.webp", "grey alpha.tif", "old.png", "photo.JPG", "turned.tiff"]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == names
    np.testing.assert_array_equal(pixels(out / "16 bits.png"), grey)
    np.testing.assert_array_equal(pixels(out / "grey alpha.tif"), np.stack([grey, ALPHA], -1))
    np.testing.assert_array_equal(pixels(out / "old.png"), PIXELS)
    np.testing.assert_array_equal(pixels(out / "turned.tiff"), np.rot90(PIXELS, -1))
    assert Image.open(out / "turned.tiff").getexif().get(0x0112, 1) == 1
    np.testing.assert_array_equal(pixels(out / "alpha.webp")[..., 3], ALPHA)
    assert np.abs(pixels(out / "photo.JPG") - pixels(folder / "photo.JPG")).mean() < 3


def test_compare_puts_the_source_beside(enlarging, neutral, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "in.png")
    for workdir, name in ((enlarging, "large.png"), (neutral, "same.png")):
        done = apply(workdir, tmp_path / "in.png", tmp_path / name, "--compare")
        assert done.returncode == 0, done.stderr
    plain, restored = np.split(pixels(tmp_path / "large.png"), 2, axis=1)
    bicubic = degrade.imresize(PIXELS[None].astype(np.float32), 84, 136)[0].clip(0, 255)
    np.testing.assert_allclose(plain, bicubic, atol=0.6)
    assert np.abs(plain - restored).mean() > 5
    np.testing.assert_array_equal(pixels(tmp_path / "same.png"), np.concatenate([PIXELS, PIXELS], 1))


def test_files_that_do_not_go_together(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "in.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "in.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice").mkdir()
    for name in ("a.png", "a.bmp"):
        Image.fromarray(PIXELS).save(tmp_path / "twice" / name)

    def refused(source, target, *words):
        with pytest.raises(UsageError) as caught:
            photo_files.pairs(tmp_path / source, tmp_path / target, photo_files.FORMATS)
        for word in words:
            assert word in str(caught.value)

    refused("absent.png", "out.png", "absent.png", "does not exist")
    refused("in.png", "out.gif", "out.gif", ".webp")
    refused("in.png", "in.png", "never overwritten")
    refused("in.png", "link.png", "never overwritten")
    refused("in.png", "in.png/out.png", "in.png is no folder")
    refused("empty", "out", "holds no pictures")
    refused(".", ".", "other than the input")
    refused(".", "in.png", "other than the input")
    refused("twice", "out", "only in their endings")


def test_what_is_refused_before_any_work(enlarging, tmp_path):
    Image.fromarray(ALPHA).convert("LA").save(tmp_path / "alpha.png")
    Image.new("L", (4100, 4)).save(tmp_path / "long.png")
    before = {path.name for path in tmp_path.iterdir()}
    for source, target, flag, *words in (
        ("alpha.png", "out.jpg", "--nocompare", "transparency", ".png"),
        ("long.png", "out.webp", "--nocompare", "16400x16", "16383"),
        ("long.png", "out.png", f"--mask={tmp_path / 'alpha.png'}", "--mask"),
    ):
        assert_refused(apply(enlarging, tmp_path / source, tmp_path / target, flag), *words)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_inks_are_turned_into_colours_without_their_profile(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "inks.tif", icc_profile=PROFILE)
    photo = photo_files.read(tmp_path / "inks.tif")
    assert photo.profile == b""
    assert photo.pixels[0, 0].tolist() == [255, 0, 0]


def test_the_program_that_measures_memory(neutral):
    done = programs.call("benchmarks.apply_memory", f"--workdir={neutral}", "--megapixels=0.01")
    assert done.returncode == 0, done.stderr
    assert "GB resident" in done.stdout
