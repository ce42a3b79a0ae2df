import json
import sys

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import graph, logs
from gans import inpainting


def events(workdir):
    sys.modules.setdefault("tensorboard.compat.notf", None)  # TensorBoard without TensorFlow
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(workdir))
    found.Reload()
    return found


def gan():
    optimizers = {"generator": optax.adam(1e-3), "discriminator": optax.adam(1e-3)}
    return inpainting.make({"adversarial": optimizers}, generator="DocumentGenerator", discriminator="Discriminator")


def test_tensorboard_shows_scalars_pictures_text_and_the_networks(tmp_path):
    with logs.Logs(tmp_path, 0, 4, every=2) as log:
        for step in range(1, 5):
            log.metrics(step, {"generator/loss": jnp.float32(step)})
        log.picture("samples", np.zeros((8, 8, 3), np.uint8), 2)
        log.text("config", "seed: 0")
        log.graph(graph.tensorboard(gan()))
    found = events(tmp_path)
    assert [(e.step, e.value) for e in found.Scalars("generator/loss")] == [(2, 2.0), (4, 4.0)]
    assert found.Images("samples")[0].step == 2
    assert b"seed: 0" in found.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    nodes = {node.name: node for node in found.Graph().node}
    assert "generator/Conv_4/conv_general_dilated" in nodes
    assert list(nodes["generator/BatchNorm_0/sub"].input) == ["generator/Conv_0/add"]
    assert all(operand in nodes for node in nodes.values() for operand in node.input)


def test_layers_are_listed_in_order_with_all_parameters():
    found = graph.layers(gan())
    assert [layer.path for layer in found["generator"]][:3] == ["Conv_0", "BatchNorm_0", "Conv_1"]
    assert sum(layer.parameters for layer in found["generator"]) == 315_073
    assert found["generator"][0].output == (28, 28, 32)
    assert sum(layer.parameters for layer in found["discriminator"]) == 382_209


def test_several_steps_of_one_dispatch_are_several_records(tmp_path):
    with logs.Logs(tmp_path, 0, 4, every=1) as log:
        log.metrics(3, {"generator/loss": jnp.arange(3.0)})
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(record["step"], record["generator/loss"]) for record in records] == [(1, 0.0), (2, 1.0), (3, 2.0)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(tmp_path, value):
    with (
        logs.Logs(tmp_path, 0, 4, every=1) as log,
        pytest.raises(logs.Diverged, match=f"Step 3: the loss of the generator is {value}"),
    ):
        log.metrics(3, {"discriminator/loss": jnp.float32(1), "generator/loss": jnp.float32(value)})


def test_going_on_drops_what_will_be_run_again_and_a_line_that_was_cut(tmp_path):
    lines = [json.dumps({"step": step, "generator/loss": 1.0}) for step in range(1, 6)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n" + lines[0][:9])
    assert len(logs.read_metrics(tmp_path)) == 5
    with logs.Logs(tmp_path, 3, 6, every=1) as log:
        log.metrics(4, {"generator/loss": jnp.float32(2)})
    assert [record["step"] for record in logs.read_metrics(tmp_path)] == [1, 2, 3, 4]
