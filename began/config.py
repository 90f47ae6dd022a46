"""What a training run is: every choice that its result depends on, in one frozen record."""

import dataclasses
import json
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin

from began.errors import BeganError
from began.losses import Norm
from began.networks import SIZES

Mode = Literal["fast", "reference"]
LARGEST = sys.float_info.max  # any finite number
LAST_SEED = 2**64 - 3  # torch takes up to 2**64 - 1, and a run draws from its seed + 2 as well
Broken = Literal["stop", "skip"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
OnCollapse = Literal["warn", "rollback", "stop"]
Remedy = Literal["lr", "alpha"]


def option(default: Any, meaning: str, low: float | None = None, high: float = LARGEST) -> Any:
    """Return a field with its meaning and its allowed range, both ends included."""
    return dataclasses.field(default=default, metadata={"help": meaning, "low": low, "high": high})


@dataclass(frozen=True)
class TrainConfig:
    """A training run, validated on construction: BeganError names the field, its value and what is allowed.

    >>> TrainConfig.preset("began_cs", size=64).alpha
    0.1

    The defaults suit a few minutes on two CPU cores: grain makes room for `gamma=1`, and the rate drops once samples
    differ. The papers, on photographs and for hundreds of thousands of steps: `size=64, n=128` or more, `gamma=0.5,
    lambda_k=1e-3, lr=1e-4, lr_drop=0, grain=0`. `PRESETS` holds what distinguishes BEGAN from BEGAN-CS.
    """

    data: str = option("faces", "faces, celeba:DIR, folder:DIR, lfw, olivetti or digits")
    count: int | None = option(None, "pictures to use (all; 8192 rendered faces)", 1)
    broken: Broken = option("stop", "what a picture that can't be read does")
    flip: bool = option(False, "mirror pictures at random")
    grain: float = option(
        0.1, "standard deviation of white noise on real pictures, new in each step; pictures span -1 to 1", 0, 2
    )
    size: int = option(32, f"image height and width: {', '.join(map(str, SIZES))}", 16, 256)
    channels: int = option(3, "1 (grey) or 3 (colour)", 1, 3)
    n: int = option(16, "filters of the first level", 1)
    n_z: int = option(64, "numbers in z and in the code h", 1)
    skip: bool = option(False, "concatenate the decoder's 8x8 tensor at each resolution")
    carry_steps: int = option(0, "steps over which vanishing residuals fade (16000 in the paper); 0 is none", 0)
    gamma: float = option(1.0, "target of L(G(z)) / L(x); the papers show 0.3 to 0.7 on photographs", 0, 1)
    lambda_k: float = option(3e-2, "gain of the controller of k; 0.001 in the papers' longer runs", 1e-12)
    k_0: float = option(0.0, "first value of k", 0, 1)
    scale_free: bool = option(False, "divide the controller's error by L(x): lambda_k then means the same on any data")
    alpha: float = option(0.0, "weight of the latent constraint; 0 is plain BEGAN", 0)
    norm: Norm = option("l1", "norm of the reconstruction loss")
    steps: int = option(3500, "updates of D and G", 1)
    batch: int = option(16, "images a step, over all processes", 1)
    lr: float = option(5e-4, "Adam's learning rate at the start", 1e-12)
    beta1: float = option(0.5, "Adam's decay of the first moment", 0, 0.999999)
    lr_patience: int = option(2000, "halve lr when M, read every log_every steps, has stalled this long; 0 is never", 0)
    lr_drop: int = option(1000, "step after which lr is a fifth, so that what took off settles; 0 is never", 0)
    ema: float = option(0.995, "decay of the moving average of G that is sampled; 0 is none", 0, 0.999999)
    seed: int = option(0, "seed of weights, noise and the order of the pictures", 0, LAST_SEED)
    mode: Mode = option("fast", "fast: one pass serves both updates; reference: the equations word by word")
    precision: Precision = option("auto", "of the networks, as autocast does it; auto is the best that the device has")
    compile: bool = option(False, "use torch.compile")
    log_every: int = option(100, "steps between two readings of the history", 1, 10**6)
    sample_every: int = option(500, "steps between two sample grids", 1)
    checkpoint_every: int = option(1000, "steps between two checkpoints", 1)
    on_collapse: OnCollapse = option("warn", "rollback goes back to the last good checkpoint and applies the remedy")
    remedy: Remedy = option("lr", "after a rollback, lr: half the learning rate; alpha: at least 0.1, or twice as much")
    good_mib: int = option(1024, "disk space for good checkpoints, of which one is always kept", 1)

    def __post_init__(self) -> None:
        """Check types, choices and ranges."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _check_type(field.name, value, field.type)
            low, high = field.metadata["low"], field.metadata["high"]
            if low is not None and value is not None and not low <= value <= high:
                at_most = "" if high == LARGEST else f" and at most {high}"
                raise BeganError(f"{field.name} must be at least {low}{at_most}, got {value}")
        if self.size not in SIZES:
            raise BeganError(f"size must be one of {SIZES}, got {self.size}")
        if self.channels not in (1, 3):
            raise BeganError(f"channels must be 1 or 3, got {self.channels}")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return the preset `began` or `began_cs` with some fields changed; ValueError for another name or field."""
        if name not in PRESETS:
            raise BeganError(f"preset must be one of {tuple(PRESETS)}, got {name!r}")
        return cls.from_dict({**PRESETS[name], **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a config from field names and values; ValueError names fields that don't exist."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise BeganError(f"config has no field {', '.join(unknown)}; the fields are {', '.join(sorted(known))}")
        return cls(**values)

    @classmethod
    def from_record(cls, values: dict[str, Any]) -> Self:
        """Make the config of a run from what it left, maybe before a field was there that has another default now."""
        return cls.from_dict({**BEFORE, **values})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Make a config from what `to_json` wrote; ValueError as in construction."""
        return cls.from_dict(json.loads(text))

    def differences(self, other: Self, but: Collection[str] = ()) -> Iterator[tuple[str, Any, Any]]:
        """Yield each field that differs, with its value here and in another config; those in `but` may."""
        for name, value in self.to_dict().items():
            if name not in but and getattr(other, name) != value:
                yield name, value, getattr(other, name)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return the fields as JSON."""
        return json.dumps(self.to_dict(), indent=1)


PRESETS: dict[str, dict[str, Any]] = {
    "began": {},
    "began_cs": {"alpha": 0.1, "norm": "l2", "lr_patience": 0},
}


BEFORE: dict[str, Any] = {"grain": 0.0, "lr_drop": 0}  # of runs whose record does not name these fields


def _check_type(name: str, value: Any, expected: Any) -> None:
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            raise BeganError(f"{name} must be one of {get_args(expected)}, got {value!r}")
        return
    allowed = get_args(expected) or (expected,)
    accepts_int = int in allowed or float in allowed
    if isinstance(value, bool):
        fits = bool in allowed
    elif isinstance(value, int):
        fits = accepts_int
    else:
        fits = isinstance(value, allowed)
    if not fits:
        raise BeganError(f"{name} must be {' or '.join(t.__name__ for t in allowed)}, got {value!r}")
