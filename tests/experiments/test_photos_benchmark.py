"""The table of restored photographs beside their peers."""

import json

import numpy as np
import pytest
from PIL import Image

from data_pipelines import degrade, kernels
from experiments.configs import deblur, srgan
from tests.experiments import programs, test_tfjs_layers, untrained
from tests.experiments.test_commands import assert_refused


def smooth(height, width, seed=0):
    rough = np.random.default_rng(seed).integers(0, 256, (height // 6, width // 6, 3), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        Image.fromarray(smooth(150, 222, seed)).save(folder / f"{name}.png")
    return folder


def configured(config, folder):
    config.data.update(name="photo_folder", path=str(folder), held_out=("c",))
    return config


def cells(text, row):
    """The row's numbers in each table."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {row}")]
    return [[float(cell) for cell in line.split("|")[2:-1]] for line in lines]


def evaluated(workdir):
    done = programs.call("evaluate", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return {name: entry["value"] for name, entry in json.loads((workdir / "scores.json").read_text()).items()}


def test_super_resolution_beside_its_peers(photographs, tmp_path):
    workdir = tmp_path / "run"
    untrained.write(workdir, configured(srgan.get_config("tiny"), photographs))
    peer = test_tfjs_layers.write(tmp_path, test_tfjs_layers.reference())
    done = programs.call("benchmarks.photos", f"--workdir={workdir}", f"--esrgan={peer}", "--pictures=2")
    assert done.returncode == 0, done.stderr
    text, scores = (workdir / "peers" / "table.md").read_text(), evaluated(workdir)
    (ours,), (plain,), (other,) = (cells(text, row) for row in ("run, step 0", "bicubic", "ESRGAN"))
    assert "| method | pictures | psnr_luma_crop4 | ssim_luma_crop4 |" in text
    assert ours == pytest.approx([6, scores["psnr_luma_crop4"], scores["ssim_luma_crop4"]], abs=0.006)
    assert plain == pytest.approx([6, scores["psnr_luma_crop4_bicubic"], scores["ssim_luma_crop4_bicubic"]], abs=0.006)
    assert other[0] == 6 and 0 < other[1] < plain[1]
    assert Image.open(workdir / "peers" / "pictures.png").size == (2 * 64, 5 * (64 + 26))

    done = programs.call("benchmarks.photos", f"--workdir={workdir}", f"--photographs={photographs}")
    assert done.returncode == 0, done.stderr
    assert f"All of {photographs}" in done.stdout
    assert cells((workdir / "peers-photographs" / "table.md").read_text(), "run, step 0")[0][0] == 3 * 6

    other = tmp_path / "other"
    config = configured(srgan.get_config("tiny"), photographs)
    config.data.held_out = ("b",)
    untrained.write(other, config)
    assert_refused(programs.call("benchmarks.photos", f"--workdir={workdir},{other}"), "different data", "held_out")
    assert_refused(programs.call("benchmarks.photos", f"--workdir={workdir}@7"), "step 7")


def test_deblurring_beside_methods_that_know_the_kernel(photographs, tmp_path):
    pytest.importorskip("skimage")
    workdir, config = tmp_path / "run", configured(deblur.get_config("tiny"), photographs)
    untrained.write(workdir, config)
    done = programs.call("benchmarks.photos", f"--workdir={workdir}", f"--output={tmp_path / 'out'}", "--tuning=2")
    assert done.returncode == 0, done.stderr
    text, scores = (tmp_path / "out" / "table.md").read_text(), evaluated(workdir)
    for row, names in (("run, step 0", "psnr_rgb ssim_rgb"), ("blurred source", "psnr_rgb_source ssim_rgb_source")):
        whole, *parts = cells(text, row)
        assert whole == pytest.approx([6, *(scores[name] for name in names.split())], abs=0.006)
        assert sum(part[0] for part in parts) == 6
        assert sum(part[0] * part[1] for part in parts) == pytest.approx(6 * whole[1], abs=0.1)
    assert cells(text, "Wiener, balance")[0][1] > cells(text, "blurred source")[0][1]
    assert cells(text, "Richardson-Lucy, iterations")[0][0] == 6
    assert 1 < text.count("\nBlur: ") <= 4


@pytest.fixture(scope="module")
def blurred():
    """A batch of photographs with their blurred sources, by noise."""
    kernel = kernels.line(9, 0.5, 13)
    image = smooth(132, 132).astype(np.float32)[None] / 127.5 - 1
    source = degrade.convolve(image[0], kernel)
    grain = np.random.default_rng(0).standard_normal(source.shape).astype(np.float32)
    return {
        noise: {"image": image[:, 6:-6, 6:-6], "source": (source + noise * grain)[None], "kernel": kernel[None]}
        for noise in (0, 0.002, 0.1)
    }


def error(restored, examples):
    return float(np.square(restored - examples["image"]).mean())


@pytest.mark.parametrize(("name", "value", "gain"), [("Wiener", 0.1, 4), ("Richardson-Lucy", 40, 2)])
def test_deconvolution_with_the_true_kernel(blurred, name, value, gain):
    deconvolution = pytest.importorskip("experiments.benchmarks.deconvolution")
    method, examples = deconvolution.METHODS[name], blurred[0]
    restored = deconvolution.batch(method, examples, value)
    assert restored.shape == examples["image"].shape
    assert gain * error(restored, examples) < error(examples["source"], examples)
    mirrored = {**examples, "kernel": examples["kernel"][:, ::-1]}
    assert error(deconvolution.batch(method, mirrored, value), examples) > 2 * error(restored, examples)


@pytest.mark.parametrize(("name", "stronger"), [("Wiener", 1), ("Richardson-Lucy", -1)])
def test_more_noise_is_met_with_more_caution(blurred, name, stronger):
    deconvolution = pytest.importorskip("experiments.benchmarks.deconvolution")

    def scores(restored, originals):
        errors = np.square(restored - originals).mean((1, 2, 3))
        return {"psnr": -errors, "lpips": errors}

    chosen = []
    for noise in (0.002, 0.1):
        best = deconvolution.tune(deconvolution.METHODS[name], blurred[noise], scores)
        assert best["psnr"] == best["lpips"]
        chosen.append(best["psnr"])
    assert stronger * chosen[0] < stronger * chosen[1]
