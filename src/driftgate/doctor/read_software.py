"""Reading what is installed, from packages' metadata: nothing is imported."""

import os
import shutil
import sys
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from driftgate.doctor.facts import Broken, Software

# All of these install the module `onnxruntime`.
_RUNTIMES = (
    "onnxruntime", "onnxruntime-gpu", "onnxruntime-cann", "onnxruntime-directml", "onnxruntime-migraphx",
    "onnxruntime-openvino", "onnxruntime-qnn", "onnxruntime-rocm", "onnxruntime-training", "onnxruntime-vitisai",
    "ort-nightly", "ort-nightly-gpu",
)  # fmt: skip
_SHOWN = (
    "driftgate", "onnxruntime", "onnxruntime-gpu", "onnx", "optimum-onnx", "optimum", "torch", "transformers", "tokenizers",
    "safetensors", "huggingface-hub", "numpy", "scipy", "scikit-learn", "protobuf", "pytest",
)  # fmt: skip
_EXTRAS = ("cpu", "gpu", "hub", "data", "plots")
_OURS = "driftgate"


def read_software() -> Software:
    """Versions, packages that get in each other's way, requirements that are not met."""
    versions: defaultdict[str, list[str]] = defaultdict(list)
    requires: dict[str, Sequence[str]] = {}
    for found in distributions():  # in the order of the path: the first is the one that is imported
        name = canonicalize_name(found.metadata["Name"] or "")
        versions[name].append(found.version)
        requires.setdefault(name, found.requires or ())
    first = {name: several[0] for name, several in versions.items()}
    return Software(
        versions={name: first[name] for name in _SHOWN if name in first},
        runtimes={name: first[name] for name in sorted(first.keys() & _RUNTIMES)},
        twice={
            name: tuple(dict.fromkeys(several)) for name, several in sorted(versions.items()) if len({*several}) > 1
        },
        broken=find_broken(first, requires),
        compiler=_find_compiler(),
    )


def find_broken(versions: Mapping[str, str], requires: Mapping[str, Sequence[str]]) -> tuple[Broken, ...]:
    """Requirements that are not met, of driftgate and of all that it stands on.

    Args:
        versions: of installed packages, by canonical name. `requires`: what each of them says that it needs.
    """
    broken: dict[Broken, None] = {}
    pending, seen = deque([_OURS]), {_OURS}
    while pending:
        package = pending.popleft()
        for text in requires.get(package, ()):
            needed = Requirement(text)
            extras = _EXTRAS if package == _OURS else ()
            always = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if not always and not any(needed.marker.evaluate({"extra": extra}) for extra in extras):  # type: ignore[union-attr]
                continue
            name = canonicalize_name(needed.name)
            found = versions.get(name)
            if found is None:
                if always:  # an extra is there or not
                    broken[Broken(package, f"{needed.name}{needed.specifier}", None)] = None
                continue
            if not needed.specifier.contains(found, prereleases=True):
                broken[Broken(package, f"{needed.name}{needed.specifier}", found)] = None
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return tuple(broken)


def _find_compiler() -> str | None:
    """The C++ compiler that torch.compile looks for on a CPU."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    wanted = os.environ.get("CXX", usual)
    return wanted if shutil.which(wanted.split()[0] if wanted.split() else "") else None
