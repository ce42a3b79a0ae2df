"""Writes small sets in the form of the CERTH image blur set's archive."""

import openpyxl
from PIL import Image

SHARP, NATURAL, ARTIFICIAL = 10, 20, 30


def write_folder(folder, artificial="Artificially-Blurred"):
    """Four sharp pictures to train with and three blurred ones; three and two to judge with, shaded by their label."""
    training = {
        "Undistorted": ("DSC_1.JPG", "DSC_2.jpg", "IMG.3.jpg", "IMG_4.jpg"),
        "Naturally-Blurred": ("n1.jpg", "n2.JPG"),
        artificial: ("DiskR10_1.jpg",),
    }
    shades = {"Undistorted": SHARP, "Naturally-Blurred": NATURAL, artificial: ARTIFICIAL}
    for name, files in training.items():
        for file in files:
            picture(folder / "TrainingSet" / name / file, shades[name])
    evaluation = folder / "EvaluationSet"
    for file, shade in (("p1.jpg", SHARP), ("p2.JPG", NATURAL), ("p.3.jpg", NATURAL)):
        picture(evaluation / "NaturalBlurSet" / file, shade)
    for file, shade in (("1.jpg", SHARP), ("MotionL10_2.jpg", ARTIFICIAL)):
        picture(evaluation / "DigitalBlurSet" / file, shade)
    (evaluation / "NaturalBlurSet" / "Thumbs.db").write_bytes(b"")
    # As the archive's: one has names without endings and two headings, the other blanks behind the names and one.
    sheet(evaluation / "NaturalBlurSet.xlsx", [("Image Name", "Blur Label"), ("p1", -1), ("p2 ", 1), ("p.3", 1)])
    sheet(evaluation / "DigitalBlurSet.xlsx", [("MyDigital Blur", None), ("1.jpg ", -1), ("MotionL10_2.jpg ", 1)])
    return folder


def picture(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (48, 32), (shade,) * 3).save(path, quality=100)


def sheet(path, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
