"""Every test runs on four CPU devices, with a cache folder of its own and TensorFlow nowhere near an accelerator."""

import os

import jaxlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["KERAS_BACKEND"] = "jax"
# The tests spend most of their time compiling what runs once: half of it with these. Later releases know but two.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    + (" --xla_cpu_use_fusion_emitters=false" if jaxlib.version.__version_info__ < (0, 11) else "")
)

import hypothesis
import jax
import pytest

# The same examples everywhere and always. `make test-faults` takes many more of them, EXAMPLES if it is set.
SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
ALIKE = {"derandomize": True, "database": None, "deadline": None, "suppress_health_check": SLOW}
hypothesis.settings.register_profile("suite", max_examples=20, **ALIKE)
hypothesis.settings.register_profile("thorough", max_examples=int(os.environ.get("EXAMPLES", "500")), **ALIKE)
hypothesis.settings.load_profile("suite")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Judges and compiled programs of this session stay out of the user's cache; its workers share them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    os.environ["XDG_CACHE_HOME"] = str(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.fixture(scope="module", autouse=True)
def memory():
    """Compiled programs of a module are let go with it: together they would take gigabytes."""
    yield
    jax.clear_caches()
