import numpy as np
import pytest

from data_pipelines import ages
from experiments.face_scores import face_scores

GROUPS = len(ages.GROUPS)
IDENTITY = np.repeat(np.arange(40), GROUPS)
LABEL = np.tile(np.arange(GROUPS), 40)


def descriptors():
    """One for each photograph, near those of the same person."""
    draw = np.random.default_rng(0)
    return draw.normal(size=(40, 8))[IDENTITY] + draw.normal(scale=0.01, size=(len(IDENTITY), 8))


def seen(judge, photo, restored, aged):
    return {f"{judge}_photo": photo, f"{judge}_restored": restored, f"{judge}_aged": aged}


def test_a_person_is_verified_in_each_age_group_by_itself():
    photo = descriptors()
    aged = np.repeat(photo[:, None], GROUPS, 1)
    aged[:, 1] += 100  # nobody
    aged[::2, 3] += 100
    found = face_scores(seen("face", photo, photo, aged), LABEL, IDENTITY)
    assert found["verification_face"] == found["verification_photos_face"] == 100
    by_group = [found[f"verification_{name}_face"] for name in ages.GROUPS]
    assert by_group == [100, 0, 100, 50, 100, 100]
    assert found["verification_aged_face"] == pytest.approx(np.mean(by_group))


def test_one_percent_of_strangers_are_accepted():
    photo = np.random.default_rng(2).normal(size=(4_000, 8))
    strangers = np.roll(photo, 1, 0)
    everyone = np.arange(len(photo))
    found = face_scores(
        seen("face", photo, strangers, strangers[:, None].repeat(GROUPS, 1)), everyone % GROUPS, everyone
    )
    assert found["verification_face"] == pytest.approx(1, abs=0.5)
    assert "verification_photos_face" not in found  # nobody has two


def test_ages_are_judged_by_group_or_in_years():
    photo = descriptors()
    aged = np.repeat(photo[:, None], GROUPS, 1)
    asked = np.tile(np.arange(GROUPS), (len(photo), 1))
    asked[::4] = 0  # of these one in six is right
    people = {**seen("people", photo, photo, aged), "group_aged": asked, "group_photo": LABEL}
    found = face_scores(people, LABEL, IDENTITY)
    assert found["age_accuracy"] == pytest.approx(100 * (3 / 4 + 1 / 4 / 6))
    assert found["age_accuracy_photos"] == 100
    years = np.asarray([10, 20, 30, 40, 50, 70.0])
    faces = {**seen("face", photo, photo, aged), "age_aged": years[asked], "age_photo": years[LABEL[::-1]]}
    found = face_scores(faces, LABEL, IDENTITY)
    assert found["age_accuracy"] == pytest.approx(100 * (3 / 4 + 1 / 4 / 6))
    assert found["age_accuracy_photos"] == 0


def test_people_aged_into_a_group_are_compared_with_its_photographs():
    photo = descriptors()
    aged = np.repeat(photo[:, None], GROUPS, 1)
    aged[:, 2] += 3.0
    groups = {"group_aged": np.zeros((len(photo), GROUPS)), "group_photo": LABEL}
    found = face_scores({**seen("people", photo, photo, aged), **groups}, LABEL, IDENTITY)
    # Moved by 3 along 8 axes; the same persons else, but for what noise differs.
    assert found[f"fid_people_{ages.GROUPS[2]}"] == pytest.approx(8 * 3.0**2, rel=0.01)
    assert found[f"fid_people_{ages.GROUPS[1]}"] < 0.01
