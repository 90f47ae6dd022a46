"""What is owed to a GPU: runs that are worth its time, the most urgent first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A command of Python's interpreter in a process of its own; `{out}` in it stands for the job's own folder.

    Where `expected` seconds are left it is begun, after `limit` seconds it is stopped. One that goes on from what it
    left in its folder names the `least` seconds that are worth a start. No time here was measured on a GPU.
    """

    name: str
    what: str
    command: tuple[str, ...]
    expected: float
    limit: float
    least: float | None = None
    gpus: int = 1

    @property
    def needs(self) -> float:
        """The seconds that have to be left for a start."""
        return self.expected if self.least is None else self.least


def tests(path: str, what: str) -> Job:
    """Return the CUDA tests of a file, apart from those of others: an error of CUDA ends all that its process does."""
    name = path.rpartition("/test_")[2].removesuffix(".py")
    return Job(f"tests-{name}", what, ("benchmarks/cuda_tests.py", path), expected=20, limit=60)


def ladder(size: int, n: int, batches: tuple[int, ...], expected: float, *options: str, name: str = "") -> Job:
    """Return the step at a size and width in all its ways, for some batches."""
    shapes = [text for batch in batches for text in ("--shape", str(size), str(n), str(batch))]
    what = f"the step in all its ways at {size}x{size}, n = {n}, batch {', '.join(map(str, batches))}"
    what += f" ({' '.join(options)})" if options else ""
    command = ("benchmarks/step.py", *shapes, *(options or ("--model", "began")))
    return Job(f"ladder-{size}-{n}{name}", what, command, expected, limit=2.5 * expected)


def training(name: str, what: str, expected: float, gpus: int = 1) -> Job:
    """Return a training that `trainings.py` knows, which goes on from its checkpoint."""
    start = ("-m", "torch.distributed.run", "--nproc-per-node", str(gpus)) if gpus > 1 else ()
    command = (*start, "benchmarks/trainings.py", name, "{out}")
    return Job(name, what, command, expected, limit=4 * expected, least=40, gpus=gpus)


JOBS = [
    Job("environment", "what machine this is", ("benchmarks/machine.py",), expected=10, limit=60),
    tests("tests/core/test_step.py", "a graph does the same as single steps, and nothing waits for the host"),
    tests("tests/core/test_cuda.py", "monitor and rollback beside a graph; a capture that fails"),
    tests("tests/images/test_sources.py", "resident and streamed batches, the same and without waiting"),
    tests("tests/studies/test_ensemble.py", "every method of the toy as a graph against single steps"),
    tests("tests/studies/test_image_gans.py", "EBGAN, WGAN-GP and alternating BEGAN"),
    ladder(64, 128, (16, 64, 4), 70),
    ladder(64, 64, (16, 64, 4), 50),
    ladder(16, 8, (16, 64, 4), 45),
    ladder(32, 64, (16, 64, 4), 45),
    Job(
        "ensembles",
        "16, 64 and 256 runs on the toy as one program",
        ("benchmarks/ensembles.py", "--members", "1", "16", "64", "256"),
        expected=60,
        limit=150,
    ),
    Job(
        "hotspots",
        "which operations hold the step back, at 64x64, n = 128, batch 16 and 64",
        ("benchmarks/hotspots.py", "--shape", "64", "128", "64", "--shape", "64", "128", "16"),
        expected=25,
        limit=90,
    ),
    training("faces64-wide-began", "BEGAN on 64x64 faces, larger than those of the book", 90),
    training("faces64-wide-began-cs", "BEGAN-CS on 64x64 faces, larger than those of the book", 90),
    ladder(64, 128, (16,), 90, "--model", "began", "--compiled", name="-compiled"),
    ladder(64, 128, (16,), 60, "--model", "began", "--remedies", name="-remedies"),
    ladder(64, 128, (16, 64), 60, "--model", "began_cs", name="-cs"),
    Job(
        "monitor",
        "what watching for a collapse costs beside a graph",
        ("benchmarks/monitor.py", "--shape", "64", "128", "16", "--shape", "128", "128", "24"),
        expected=120,
        limit=240,
    ),
    Job("data", "streamed photographs beside resident ones", ("benchmarks/data.py", "--n", "128"), 150, limit=300),
    Job(
        "agreement",
        "the same ends in bfloat16 and float16 as by the equations word by word, five seeds",
        ("benchmarks/agreement.py", "--size", "32", "--steps", "4000"),
        expected=500,
        limit=1200,
        least=60,
    ),
    Job(
        "takeoff",
        "which grain and gamma take off at 64x64, three seeds",
        ("benchmarks/takeoff.py",),
        expected=500,
        limit=1500,
        least=60,
    ),
    training("two-processes", "one run on two GPUs over NCCL", 60, gpus=2),
]
