"""Checks of processor, cores and clocks."""

import shlex
from collections.abc import Iterator

from driftgate.doctor.facts import Cores, Facts, Noise, Processor
from driftgate.doctor.findings import Finding, Subject

_PROCESSOR, _CORES, _CLOCK = Subject("processor"), Subject("cores"), Subject("clock")

_POOLS = {
    "OMP_NUM_THREADS": "torch and scikit-learn",
    "MKL_NUM_THREADS": "torch's MKL",
    "OPENBLAS_NUM_THREADS": "NumPy and SciPy",
    "ORT_INTRA_OP_NUM_THREADS": "ONNX Runtime sessions without a number of threads",
}
_ENDLESS = {"OMP_WAIT_POLICY": "active", "KMP_BLOCKTIME": "infinite", "GOMP_SPINCOUNT": "infinite"}
_NO = frozenset({"0", "false", "n", "no", "off", "f"})

# A hundredth of the time is what ratios of backends are resolved to; a twentieth is a lost comparison.
_STEAL, _MUCH_STEAL = 0.01, 0.05
_THROTTLED = 0.01


def check_machine(facts: Facts) -> Iterator[Finding]:
    """Everything about the machine as such, whatever is run on it."""
    if facts.processor is not None:
        yield from _check_processor(facts.processor)
    if facts.cores is not None:
        yield from _check_cores(facts.cores, facts.asked.threads)
        yield from _check_variables(facts.cores)
    if facts.noise is not None:
        yield from _check_noise(facts.noise, facts.cores.usable if facts.cores else None)


def _check_processor(processor: Processor) -> Iterator[Finding]:
    if not processor.flags:
        yield _PROCESSOR.warning(
            "instruction-sets-unknown",
            f"{processor.name}: the system does not say which instruction sets it has",
            "nothing can be said about the speed of INT8, nor about saturation",
            "compare onnx-int8 with onnx-fp32 here: driftgate bench",
        )
    elif processor.architecture == "x86" and "avx2" not in processor.flags:
        yield _PROCESSOR.warning(
            "no-avx2",
            f"{processor.name}: no AVX2",
            "ONNX Runtime and torch fall back to kernels of 128 bits: every backend is several times slower",
            "use a newer processor; in a virtual machine, pass the host's instruction sets through",
        )
    elif processor.architecture == "x86" and not processor.has_vnni:
        yield _PROCESSOR.note(
            "no-vnni",
            f"{processor.name}: AVX2 without VNNI or AMX",
            "INT8 gains little speed over float32, and products of signed weights can saturate at 16 bits: its answers can "
            "differ from those on processors with VNNI",
            "judge INT8 on this processor (pytest accuracy), and compare its speed with onnx-fp32 before choosing it",
        )
    elif processor.architecture == "arm" and "asimddp" not in processor.flags:
        yield _PROCESSOR.note(
            "no-dot-product",
            f"{processor.name}: NEON without dot products (asimddp)",
            "INT8 gains little speed over float32",
            "compare its speed with onnx-fp32 before choosing it: driftgate bench",
        )


def _check_cores(cores: Cores, threads: int | None) -> Iterator[Finding]:
    usable, limits = cores.usable, cores.limits
    pools = (cores.variables.get("ORT_INTRA_OP_NUM_THREADS"), cores.variables.get("OMP_NUM_THREADS"))
    if usable < cores.logical and not all(
        number is not None and _number(number) in range(1, usable + 1) for number in pools
    ):
        yield _CORES.warning(
            "cores-limited",
            f"usable processors: {usable} of {cores.logical} ({limits})",
            "unless a number is set, ONNX Runtime starts a thread for each physical core of the host, regardless of affinity and "
            f"quota, and these threads wait for each other. driftgate starts {cores.counted}; other programs need the number",
            f"in your own programs set intra_op_num_threads={usable} in SessionOptions, or ORT_INTRA_OP_NUM_THREADS={usable} "
            f"(newer ONNX Runtimes), and OMP_NUM_THREADS={usable} for torch",
        )
    if cores.counted > usable:
        yield _CORES.warning(
            "quota-overlooked",
            f"driftgate starts {cores.counted} threads, usable processors: {usable} ({limits})",
            "the quota belongs to a control group that is not at the root, where it is looked for: threads are throttled",
            f"give --threads {usable}, or set LOKY_MAX_CPU_COUNT={usable}",
        )
    if threads is not None and threads > usable:
        yield _CORES.warning(
            "threads-above-cores",
            f"{threads} threads requested, usable processors: {usable} ({limits})",
            "threads of one operator wait for each other: more of them than processors is slower than fewer",
            f"give --threads {usable}",
        )
    if usable == 1:
        yield _CORES.note(
            "one-core",
            f"usable processors: 1 ({limits})",
            "reading, tokenizing and the model share it: throughput of a stream is below that of pre-tokenized batches",
            "measure where the service will run",
        )


def _check_variables(cores: Cores) -> Iterator[Finding]:
    for name, whose in _POOLS.items():
        value = cores.variables.get(name)
        if value is None:
            continue
        number = _number(value)
        if number is None:
            yield _CORES.warning(
                "threads-not-a-number",
                f"{name}={value}: not a whole number",
                f"{whose} ignore it, or refuse to start",
                f"set {name}={cores.usable}, or unset it",
            )
        elif number > cores.usable:
            yield _CORES.warning(
                "threads-above-cores",
                f"{name}={value}, usable processors: {cores.usable}",
                f"{whose} start {number} threads that wait for each other; driftgate sets torch's and ONNX Runtime's threads "
                "itself, but not those of NumPy and scikit-learn, nor those of other programs",
                f"set {name}={cores.usable}, or unset it",
            )
        elif 0 < number < cores.usable:
            yield _CORES.note(
                "threads-below-cores",
                f"{name}={value}, usable processors: {cores.usable}",
                f"{whose} leave processors idle, in programs that set no number; driftgate sets its own",
                f"unset {name} if one program is to have the machine",
            )
    spinning = [f"{name}={value}" for name, value in cores.variables.items() if _ENDLESS.get(name) == value.lower()]
    if spinning:
        yield _CORES.warning(
            "spinning",
            ", ".join(spinning),
            "idle OpenMP threads keep their processors busy: everything that runs at the same time as torch becomes slower",
            "unset it, or set OMP_WAIT_POLICY=PASSIVE",
        )
    if cores.variables.get("TOKENIZERS_PARALLELISM", "").lower() in _NO:
        yield _CORES.note(
            "tokenizers-serial",
            f"TOKENIZERS_PARALLELISM={cores.variables['TOKENIZERS_PARALLELISM']}",
            "texts are tokenized by one thread: with a fast backend, that can be what is waited for",
            "unset it, unless your program forks after tokenizing",
        )
    if "PYTEST_XDIST_WORKER_COUNT" in cores.variables or _runs_in_parallel(cores.variables.get("PYTEST_ADDOPTS", "")):
        yield _CORES.warning(
            "parallel-tests",
            f"pytest runs tests side by side (PYTEST_ADDOPTS={cores.variables.get('PYTEST_ADDOPTS', '')!r})",
            "every measured time is that of a machine shared with the other tests",
            "run the benchmarks without -n",
        )


def _number(value: str) -> int | None:
    first = value.partition(",")[0].strip()  # OpenMP takes one for each level
    return int(first) if first.isdecimal() else None


def _runs_in_parallel(options: str) -> bool:
    try:
        words = shlex.split(options)
    except ValueError:  # pytest will say so
        words = options.split()
    return any(word.startswith(("-n", "--numprocesses")) and word not in ("-n0", "-n=0") for word in words)


def _check_noise(noise: Noise, usable: int | None) -> Iterator[Finding]:
    if noise.load is not None and usable is not None and noise.load > usable / 2:
        say = _CLOCK.warning if noise.load > usable else _CLOCK.note
        yield say(
            "busy",
            f"load of {noise.load:.1f} in the last minute, usable processors: {usable}",
            "something else runs here: times are longer, and ratios of backends spread",
            "wait, or stop it, before measuring speed",
        )
    if noise.steal_share is not None and noise.steal_share >= _STEAL:
        say = _CLOCK.warning if noise.steal_share >= _MUCH_STEAL else _CLOCK.note
        yield say(
            "steal",
            f"{noise.steal_share:.1%} of processor time since start went to other virtual machines",
            "other virtual machines slow measurements down at unpredictable times",
            "rely on ratios from alternating blocks (pytest benchmarks --gate), not single times",
        )
    if noise.throttled_share is not None and noise.throttled_share >= _THROTTLED:
        yield _CLOCK.warning(
            "throttled",
            f"the control group ran into its quota in {noise.throttled_share:.1%} of its periods",
            "all threads are stopped until the next period: latencies have a tail of up to 100 ms",
            "use fewer threads than the quota has processors, or raise the quota",
        )
    if noise.governor not in (None, "performance"):
        yield _CLOCK.note(
            "governor",
            f"the processor's clock follows the load (governor {noise.governor})",
            "the first batches after a pause are slower",
            "for measurements: cpupower frequency-set -g performance",
        )
    if noise.boost:
        yield _CLOCK.note(
            "boost",
            "the processor's clock may rise above its nominal rate",
            "speed depends on temperature and on how many cores are busy",
            "rely on ratios from alternating blocks, or switch boost off for measurements",
        )
