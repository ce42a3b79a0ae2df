import shutil
import sys
import zipfile
from collections import Counter

import pytest

from data_pipelines import DataError, certh_blur, photos

openpyxl = pytest.importorskip("openpyxl")
from tests.data_pipelines import certh_files  # noqa: E402
from tests.data_pipelines.certh_files import ARTIFICIAL, NATURAL, SHARP  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    return certh_files.write_folder(tmp_path)


@pytest.mark.parametrize("artificial", ["Artificially-Blurred", "NewDigitalBlur"])
@pytest.mark.parametrize("inner", ["", "CERTH_ImageBlurDataset"])
def test_labels_are_those_of_folders_and_sheets(tmp_path, artificial, inner):
    certh_files.write_folder(tmp_path / inner, artificial)
    found, unmatched = certh_blur.find(str(tmp_path))
    assert unmatched == {}
    assert Counter((one.part, one.label) for one in found) == {
        ("train", "sharp"): 4,
        ("train", "natural_blur"): 2,
        ("train", "artificial_blur"): 1,
        ("natural", "sharp"): 1,
        ("natural", "natural_blur"): 2,
        ("digital", "sharp"): 1,
        ("digital", "artificial_blur"): 1,
    }
    labels = {one.name: one.label for one in found}
    assert labels["EvaluationSet/NaturalBlurSet/p2.JPG"] == "natural_blur"
    assert labels["EvaluationSet/DigitalBlurSet/1.jpg"] == "sharp"


def test_cells_of_each_split(folder):
    data, tally = photos.load("certh_blur", str(folder), cell=32)
    assert tally.splits == {"train": 4, "test": 2, "digital_blur": 1, "natural_blur": 2}
    shades = {split: set(arrays["image"][:].ravel().tolist()) for split, arrays in data.items()}
    assert shades == {"train": {SHARP}, "test": {SHARP}, "natural_blur": {NATURAL}, "digital_blur": {ARTIFICIAL}}
    assert data["train"]["image"].shape == (8, 32, 32, 3)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_sheets_exported_as_csv(folder, separator, mark):
    expected = certh_blur.find(str(folder))
    evaluation = folder / "EvaluationSet"
    for name, rows in {
        "NaturalBlurSet": ["Image Name,Blur Label", "p1,-1", "p2 ,1", "p.3,1.0", ","],
        "DigitalBlurSet": ["1.jpg ,-1", "MotionL10_2.jpg,1"],
    }.items():
        (evaluation / f"{name}.xlsx").unlink()
        text = mark + "\r\n".join(rows).replace(",", separator)
        (evaluation / f"{name}.csv").write_text(text, encoding="utf-8")
    assert certh_blur.find(str(folder)) == expected


def test_csv_needs_no_openpyxl(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r'NaturalBlurSet.xlsx: .*pip install "gans\[certh\]", or export'):
        certh_blur.find(str(folder))
    for name in ("NaturalBlurSet", "DigitalBlurSet"):
        (folder / "EvaluationSet" / f"{name}.xlsx").unlink()
        (folder / "EvaluationSet" / f"{name}.csv").write_text("p1,1\n")
    assert len(certh_blur.find(str(folder))[0]) == 7 + 1


def test_names_on_one_side_only_are_told(folder):
    evaluation = folder / "EvaluationSet"
    certh_files.sheet(evaluation / "NaturalBlurSet.xlsx", [("p1", -1), ("p2", 1), ("p9", 1)])
    _, tally = photos.load("certh_blur", str(folder), cell=32)
    assert tally.unmatched == {
        "EvaluationSet/NaturalBlurSet/p.3.jpg": "has no label in the sheet",
        "EvaluationSet/NaturalBlurSet/p9": "stands in the sheet only",
    }


def test_the_training_set_alone_will_do_for_its_own_split(folder):
    shutil.rmtree(folder / "EvaluationSet")
    _, tally = photos.load("certh_blur", str(folder), cell=32, held_out=["*/DSC_1"])
    assert tally.splits == {"train": 3, "test": 1}


def test_blurred_pictures_never_get_among_the_sharp(folder):
    # Without sharp pictures to judge with, some of the training set's are.
    shutil.rmtree(folder / "EvaluationSet" / "DigitalBlurSet")
    certh_files.sheet(folder / "EvaluationSet" / "NaturalBlurSet.xlsx", [("p2", 1), ("p.3", 1)])
    data, tally = photos.load("certh_blur", str(folder), cell=32, test=0.25)
    assert tally.splits == {"train": 3, "test": 1, "natural_blur": 2}
    assert set(data["test"]["image"][:].ravel().tolist()) == {SHARP}


def test_refusals(folder, monkeypatch):
    evaluation = folder / "EvaluationSet"
    natural = evaluation / "NaturalBlurSet.xlsx"

    def refused(message):
        with pytest.raises(DataError, match=message):
            certh_blur.find(str(folder))

    certh_files.sheet(natural, [("Image Name", "Blur Label"), ("p1", -1), ("p2", "blurred")])
    refused("NaturalBlurSet.xlsx, row 3: 'p2', 'blurred' are no name and 1 or -1")
    certh_files.sheet(natural, [("Image Name", "Blur Label")])
    refused("has no rows of a name and 1 or -1")
    natural.write_bytes(b"no sheet")
    refused("NaturalBlurSet.xlsx: cannot be read as a sheet .*unpack the set again")
    with zipfile.ZipFile(natural, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(10_000))
    monkeypatch.setattr(certh_blur, "_MOST_BYTES", 9_999)
    refused("would unpack to 10000 bytes")
    natural.unlink()
    refused("NaturalBlurSet: has no EvaluationSet/NaturalBlurSet.xlsx or .csv beside it")
    with pytest.raises(DataError, match="has no folder TrainingSet/Undistorted: unpack"):
        certh_blur.find(str(evaluation))
