r"""Members x steps/s of a population in each form, beside the same members one after another.

    python -m experiments.benchmarks.population --config=experiments/configs/dcgan.py [--sizes=1,2,4,8,16 --seconds=4]

One after another is the step compiled alone by `jax.jit`, once for each member. Every side takes the same steps on
batches that are already on the device; the sides take turns, three times, and the median counts. A form whose first
step took longer than --patience seconds, with its compilation (--nocompilation_cache), is not tried with more members.
"""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import flags

from experiments import data, runs, train
from experiments.commands import define_config, start
from gans import parallel

CONFIG = define_config()
SIZES = flags.DEFINE_list("sizes", ["1", "2", "4", "8", "16"], "Members of the populations.")
FORMS = flags.DEFINE_list("forms", list(parallel.FORMS), "Forms to be measured.")
SECONDS = flags.DEFINE_float("seconds", 4, "Time for each measurement.", lower_bound=0.0)
PATIENCE = flags.DEFINE_float("patience", 120, "Seconds for a form's first step.", lower_bound=0.0)
ALONE = "one after another"
TURNS = 3


class Sides:
    """The same members in each form; each call takes a step of all of them."""

    def __init__(self, config):
        self._config, self._gan = config, runs.build(config, axis=None)
        self._phase = next(iter(self._gan.phases))
        self._step = self._gan.phases[self._phase].step
        self._alone = jax.jit(self._step, donate_argnums=0)
        self._batch = self._example()

    def _example(self):
        count = self._config.batch_size * self._gan.phases[self._phase].slices
        return jax.device_put(data.example_batch(self._config, count))

    def _members(self, size):
        for seed in range(size):
            config = self._config.copy_and_resolve_references()
            config.seed = seed
            state = runs.initial(config, self._gan)
            yield train.enter(self._gan, self._phase, state), runs.run_key(config)

    def make(self, form: str, size: int) -> Callable[[], object]:
        """A call that takes one step of `size` members and waits for it."""
        states, keys = map(list, zip(*self._members(size), strict=True))
        if form == ALONE:

            def one_after_another():
                for index, key in enumerate(keys):
                    states[index], metrics = self._alone(states[index], self._batch, key)
                return jax.block_until_ready(metrics)

            return one_after_another
        step = jax.jit(parallel.population(self._step, form), donate_argnums=0)
        batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * size), self._batch)
        together, keys = [parallel.stack(states)], jnp.stack(keys)

        def at_once():
            state, metrics = step(together.pop(), batch, keys)
            together.append(state)
            return jax.block_until_ready(metrics)

        return at_once


def rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second, of at least one."""
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < seconds:
        call()
        calls += 1
    return calls / (time.perf_counter() - begin)


def measure(sides: Sides, forms: list[str], size: int) -> dict[str, tuple[float, float]]:
    """{form: (members x steps/s, seconds of its first step)}."""
    calls, first, rates = {form: sides.make(form, size) for form in forms}, {}, {form: [] for form in forms}
    for form, call in calls.items():
        first[form] = 1 / rate(call, 0)
    for _ in range(TURNS):
        for form, call in calls.items():
            rates[form].append(size * rate(call, SECONDS.value / TURNS))
    return {form: (statistics.median(rates[form]), first[form]) for form in forms}


def main() -> None:
    sides, forms = Sides(CONFIG.value), [ALONE, *FORMS.value]
    columns = dict.fromkeys(forms)
    print(f"members x steps/s (first step, s), {jax.devices()[0].device_kind}")
    print("| members | " + " | ".join(columns) + " |\n|" + " --- |" * (1 + len(columns)))
    for size in map(int, SIZES.value):
        found = measure(sides, forms, size)
        cells = [f"{found[form][0]:.3g} ({found[form][1]:.0f})" if form in found else "–" for form in columns]
        print(f"| {size} | " + " | ".join(cells) + " |", flush=True)
        forms = [form for form in forms if form == ALONE or found[form][1] < PATIENCE.value]


if __name__ == "__main__":
    start(main)
