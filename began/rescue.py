"""The good checkpoints that a run can go back to when it fell ill, and how it goes on from there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from began.checkpoints import CHECKPOINT, GOOD, good_files, load_checkpoint
from began.collapse import CollapseError
from began.config import TrainConfig
from began.errors import BeganError
from began.files import link

RETURNS = 6  # how often a run goes back without a new good checkpoint in between: its learning rate is then 1/64


class Rescue:
    """The steps of the good checkpoints in `folder/good`, how often the run went back, and what it did then.

    `good` holds the steps, `rollbacks` a dictionary for each time. Only rank 0 `writes`.
    """

    def __init__(self, folder: Path | None, *, writes: bool):
        self.folder, self.writes = folder, writes
        self.good: list[int] = []
        self.returns = 0
        self.rollbacks: list[dict[str, Any]] = []

    def path(self, step: int) -> Path:
        """Return where the good checkpoint of a step lies."""
        assert self.folder is not None
        return self.folder / GOOD / f"{step:06d}.pt"

    def keep(self, step: int, count: int) -> None:
        """Keep the checkpoint just written to go back to; of more than `count` drop the oldest but the first."""
        self.good.append(step)
        self.returns = 0
        self.good = [*self.good[:1], *self.good[1:][-count:]]
        if self.writes and self.folder:
            link(self.folder / CHECKPOINT, self.path(step))
        self.tidy()

    def tidy(self) -> None:
        """Remove the files of checkpoints that are no longer good."""
        if self.writes and self.folder:
            for path in good_files(self.folder):
                if int(path.stem) not in self.good:
                    path.unlink(missing_ok=True)

    def way_back(self, error: Exception) -> Path:
        """Return the checkpoint to go back to; CollapseError where going back has not helped.

        A checkpoint but the first serves once: it may have been taken when the collapse had begun.
        """
        if self.returns == RETURNS:
            advice = "try another gamma or lambda_k, more pictures, or the preset began_cs"
            raise CollapseError(f"{error}; going back {RETURNS} times did not help: {advice}") from error
        self.returns += 1
        return self.path(self.good[-1] if len(self.good) == 1 else self.good.pop())

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {"rollbacks": self.rollbacks, "good": self.good, "returns": self.returns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, with those good ones that are there; it may be one, which it was before it knew."""
        self.rollbacks, self.returns = state["rollbacks"], state["returns"]
        self.good = sorted(s for s in {*state["good"], state["step"]} if self.folder and self.path(s).exists())


def remedied(config: TrainConfig) -> TrainConfig:
    """Return the config to go on with: with the remedy `alpha`, at least 0.1 or twice as much; else the same."""
    return replace(config, alpha=max(0.1, 2 * config.alpha)) if config.remedy == "alpha" else config


def good_checkpoint(path: Path, config: TrainConfig, changeable: tuple[str, ...]) -> dict[str, Any]:
    """Load a good checkpoint of a run that goes on with `config`; ValueError where it is of another run."""
    state = load_checkpoint(path)
    was = TrainConfig.from_record(state["config"])
    for name, value, other in was.differences(config, (*changeable, "alpha", "precision")):
        raise BeganError(f"{path} is of another run: its {name} is {value!r}, not {other!r}")
    return state
