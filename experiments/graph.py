"""The networks of a GAN as people look at them: tables of layers, and a graph for TensorBoard."""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from tensorboardX.proto.attr_value_pb2 import AttrValue
from tensorboardX.proto.graph_pb2 import GraphDef
from tensorboardX.proto.node_def_pb2 import NodeDef
from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

from gans.core import Gan, Player


class Layer(NamedTuple):
    """One layer of a network: where it stands, what it is, and what comes out of it for one example."""

    path: str
    kind: str
    output: tuple[int, ...]
    parameters: int


def _init(gan: Gan):
    return lambda batch: gan.init(jax.random.key(0), batch)


def layers(gan: Gan) -> dict[str, list[Layer]]:
    """{player: its layers in the order in which they are called}; containers of other modules are left out."""
    calls = []

    def note(call, args, kwargs, context):
        outputs = call(*args, **kwargs)
        if context.method_name == "__call__":
            calls.append((context.module.scope.path, context.module, outputs))
        return outputs

    with nn.intercept_methods(note):
        state = jax.eval_shape(_init(gan), gan.inputs(1))
    found, pending = {}, []
    for path, module, outputs in calls:
        pending.append((path, module, outputs))
        if not path:  # the network itself returns after all of its layers
            found[module.name] = [
                _layer(state.players[module.name], *call) for call in pending if _is_leaf(call, pending)
            ]
            pending = []
    return found


def _is_leaf(call, calls):
    path = call[0]
    return not any(len(other) > len(path) and other[: len(path)] == path for other, _, _ in calls)


def _layer(player, path, module, outputs):
    params = player.params
    for name in path:
        params = params.get(name, {})
    first = jax.tree.leaves(outputs)[0]
    size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    return Layer("/".join(path), type(module).__name__, tuple(first.shape[1:]), size)


def sizes(player: Player) -> dict[str, int]:
    """How many numbers a player holds: {'trainable': its params, 'other': its stats}."""
    return {
        kind: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        for kind, tree in (("trainable", player.params), ("other", player.stats))
    }


def tensorboard(gan: Gan) -> GraphDef:
    """The operations that the networks apply to their input, grouped by layer, as TensorBoard draws them."""
    inputs = gan.inputs(1)
    jaxpr = jax.make_jaxpr(_init(gan))(jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), inputs)).jaxpr
    # Initialisers take no part: only what depends on an input is drawn.
    source = dict(zip(jaxpr.invars, sorted(inputs), strict=True))
    nodes = [_node(name, "input", [], variable.aval) for variable, name in source.items()]
    names = set(source.values())
    for equation in jaxpr.eqns:
        operands = [source[v] for v in equation.invars if isinstance(v, type(jaxpr.invars[0])) and v in source]
        if not operands:
            continue
        operation = equation.params.get("name", equation.primitive.name)
        scope = str(equation.source_info.name_stack)
        name = base = f"{scope}/{operation}" if scope else operation
        number = 1
        while name in names:
            name, number = f"{base}_{number}", number + 1
        names.add(name)
        nodes.append(_node(name, operation, operands, equation.outvars[0].aval))
        source |= dict.fromkeys(equation.outvars, name)
    return GraphDef(node=nodes)


def _node(name, operation, operands, aval):
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in aval.shape])
    shapes = AttrValue(list=AttrValue.ListValue(shape=[shape]))
    return NodeDef(name=name, op=operation, input=operands, attr={"_output_shapes": shapes})
