"""Watches the metrics of a GAN on latents and says when a player has won for good."""

from collections.abc import Mapping

from ml_collections import ConfigDict


class Collapsed(Exception):
    """The players have been out of balance since the step `began`, and the config asks to stop then."""

    def __init__(self, sentence: str, began: int):
        super().__init__(sentence)
        self.began = began


class Sentinel:
    """Counts for how long fakes have been all alike, or the discriminator all but always right.

    Settings (config.collapse): `diversity`, the least spread of a batch of fakes relative to real pictures; `accuracy`,
    the most that the discriminator may be right on both sides; `patience`, steps for which either must last; `stop`.
    """

    def __init__(self, settings: ConfigDict, every: int):
        """For metrics that arrive each `every` steps."""
        self._settings, self._every = settings, every
        self._lasting = {"collapse": 0, "victory": 0}

    def look(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """A sentence on the step at which a fault has lasted long enough, and on that step alone.

        Raises:
          Collapsed: with that sentence, if the config asks to stop.
        """
        if "generator/diversity" not in metrics:
            return None  # a phase without a game
        diversity = metrics["generator/diversity"]
        accuracy = min(metrics["discriminator/accuracy_real"], metrics["discriminator/accuracy_fake"])
        faults = {
            "collapse": (
                diversity < self._settings.diversity,
                f"the generator has collapsed: its pictures differ {diversity:.3f} times as much as real ones do",
            ),
            "victory": (
                accuracy > self._settings.accuracy,
                f"the discriminator has won: it is right on {100 * accuracy:.0f}% of both sides",
            ),
        }
        for name, (present, sentence) in faults.items():
            before = self._lasting[name]
            self._lasting[name] = before + self._every if present else 0
            if before < self._settings.patience <= self._lasting[name]:
                sentence = f"Step {step}: {sentence}, for {self._lasting[name]} steps."
                if self._settings.stop:
                    raise Collapsed(sentence, step - self._lasting[name])
                return sentence
        return None


def telling(config: ConfigDict) -> Sentinel | None:
    """The sentinel of a run's config, for looking at its metrics once more: it stops nothing. None without one."""
    if "collapse" not in config:
        return None
    return Sentinel(ConfigDict({**config.collapse.to_dict(), "stop": False}), config.log_every)
