import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import checkpoints
from experiments.checkpoints import SEAL, Checkpoints


def state(step):
    return {
        "step": jnp.int32(step),
        "params": {"kernel": jnp.arange(1000.0) + step},
        "opt_state": (jnp.ones(3) * step, ()),
    }


@pytest.fixture
def folder(tmp_path):
    """Three checkpoints, the newest at step 30."""
    with Checkpoints(tmp_path / "checkpoints", None) as saved:
        for step in (10, 20, 30):
            saved.save(step, state(step), {"phase": "adversarial"})
    return tmp_path / "checkpoints"


def restore(folder):
    messages = []
    found = checkpoints.restore_newest(folder, lambda meta: jax.eval_shape(lambda: state(0)), messages.append)
    return found, messages


def assert_is(found, step):
    assert found[0] == step
    assert found[2] == {"phase": "adversarial"}
    jax.tree.map(np.testing.assert_array_equal, found[1], state(step))


def largest_file(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_newest_is_restored(folder):
    found, messages = restore(folder)
    assert_is(found, 30)
    assert not messages


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (flip_a_bit, "has changed"),
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "has changed"),
        (lambda path: path.write_bytes(b""), "has changed"),
        (os.remove, "is missing"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over(folder, harm, message):
    harm(largest_file(folder / "30"))
    found, messages = restore(folder)
    assert_is(found, 20)
    assert len(messages) == 1
    assert "30 is passed over" in messages[0]
    assert message in messages[0]


def test_a_checkpoint_without_its_seal_does_not_count(folder):
    os.remove(folder / "30" / SEAL)
    (folder / "20" / SEAL).write_text("nonsense")
    found, messages = restore(folder)
    assert_is(found, 10)
    assert "not written to its end" in messages[0]
    assert "damaged" in messages[1]


def test_nothing_whole_is_nothing(folder):
    for step in (10, 20, 30):
        flip_a_bit(largest_file(folder / str(step)))
    assert restore(folder)[0] is None
    assert restore(folder / "absent")[0] is None


def test_a_run_that_goes_on_sets_damaged_steps_aside_and_writes_them_again(folder):
    flip_a_bit(largest_file(folder / "30"))
    with Checkpoints(folder, 20) as saved:
        saved.save(30, state(30), {"phase": "adversarial"})
    assert_is(restore(folder)[0], 30)
    assert [path.name for path in (folder / "damaged").iterdir()] == ["30-0"]


def test_of_damaged_steps_only_the_last_few_are_kept(folder):
    for _ in range(8):
        with Checkpoints(folder, 20) as saved:
            saved.save(30, state(30), {"phase": "adversarial"})
    assert len(list((folder / "damaged").iterdir())) == 5
    assert_is(restore(folder)[0], 30)


def test_old_checkpoints_are_removed(folder):
    with Checkpoints(folder, 30, keep=2) as saved:
        for step in (40, 50):
            saved.save(step, state(step), {"phase": "adversarial"})
    assert checkpoints.steps(folder) == [50, 40]
    assert not (folder / checkpoints.REMOVED).exists()


def test_some_are_kept_for_good(tmp_path):
    with Checkpoints(tmp_path, None, keep=1, keep_every=20) as saved:
        for step in range(10, 60, 10):
            saved.save(step, state(step), {"phase": "adversarial"})
    assert checkpoints.steps(tmp_path) == [50, 40, 20]


def test_a_step_is_never_written_over(folder):
    with pytest.raises(Exception, match="30"), Checkpoints(folder, 30) as saved:
        saved.save(30, state(31), {"phase": "adversarial"})
    assert_is(restore(folder)[0], 30)


def test_a_disk_without_room_is_said_before_anything_is_written(folder, monkeypatch):
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_004_000))
    with (
        Checkpoints(folder, 30) as saved,
        pytest.raises(checkpoints.Unsaved, match=r"0\.0 MB.* has 1\.0 MB left"),
    ):
        saved.save(40, state(40), {"phase": "adversarial"})
    assert checkpoints.steps(folder) == [30, 20, 10]
    assert_is(restore(folder)[0], 30)


def test_what_goes_wrong_in_the_background_is_said_at_the_next_chance(folder, monkeypatch):
    def fail(step_folder):
        raise OSError(5, "Input/output error", str(step_folder))

    monkeypatch.setattr(checkpoints, "seal", fail)
    with Checkpoints(folder, 30) as saved:
        saved.save(40, state(40), {"phase": "adversarial"})
        with pytest.raises(checkpoints.Unsaved, match="40 was not written: .*Input/output error"):
            saved.save(50, state(50), {"phase": "adversarial"})
    assert restore(folder)[0][0] == 30
