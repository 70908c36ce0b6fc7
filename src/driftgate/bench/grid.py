"""A grid of synthetic shapes over backends and threads, with IO binding: what ONNX Runtime's transformers benchmark measures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from driftgate.backends import BackendSpec, Runtime
from driftgate.bench.grid_table import GridCell, GridRow, summarize_latency
from driftgate.builder.artifact import MANIFEST, read_manifest
from driftgate.builder.build import Announce
from driftgate.builder.models import Model
from driftgate.edges.limits import GRID_SHAPES
from driftgate.edges.packages import installed_versions
from driftgate.errors import SequenceTooLongError
from driftgate.inputs.batches import Shape, TokenBatch, random_batch
from driftgate.measure.visits import Cell, Visit
from driftgate.pipeline import Built, choose_backends, open_built, prepare_backend
from driftgate.run.backend import Backend, gather_rows
from driftgate.run.device import Device, RunSettings
from driftgate.run.onnx_backend import OnnxBackend
from driftgate.run.torch_backend import TorchBackend

_PRECISIONS = {"float32": "fp32", "float16": "fp16", "int8": "int8"}


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Loaded backends, ready to be timed.

    Args:
        cells: what to visit. `about`: by the cell's name, our name of its backend and its columns.
    """

    cells: tuple[Cell, ...]
    about: Mapping[str, tuple[str, GridCell]]

    def rows(self, visits: Iterable[Visit]) -> list[GridRow]:
        """A row for each cell that was visited, in the order of `cells`, over all its visits."""
        by_cell: dict[str, list[Visit]] = {cell.name: [] for cell in self.cells}
        for visit in visits:
            by_cell[visit.cell].append(visit)
        rows = []
        for name, found in by_cell.items():
            if found:
                backend, about = self.about[name]
                seconds = [second for visit in found for second in visit.seconds]
                rows.append(GridRow(backend, about, found[0].started, summarize_latency(seconds, about.batch_size)))
        return rows


def make_shapes(batch_sizes: Sequence[int], sequence_lengths: Sequence[int]) -> tuple[Shape, ...]:
    """Every batch size with every sequence length.

    Raises:
        OptionError: too many shapes.
    """
    GRID_SHAPES.require(len(batch_sizes) * len(sequence_lengths))
    return tuple(Shape(*shape) for shape in product(batch_sizes, sequence_lengths))


def open_grid(
    models: Sequence[Model],
    shapes: Sequence[Shape],
    *,
    threads: Sequence[int],
    device: Device,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Grid:
    """Load every backend once for each thread count, and prepare one random batch of each shape, the same for all.

    Every cell answers once: a backend that cannot, or that answers NaN, is refused before anything is timed.

    Args:
        models: the backends of one model, each with the encoder that goes with it.

    Raises:
        SequenceTooLongError: before anything is built.
        BuildError, ArtifactError, BackendUnavailableError, DeviceError, NonFiniteLogitsError.
    """
    _refuse_too_long(models, shapes)
    settings = [RunSettings(count, device) for count in threads]
    cells: list[Cell] = []
    about: dict[str, tuple[str, GridCell]] = {}
    for model in models:
        (spec,) = choose_backends(model.backend, device=device.kind)
        built = prepare_backend(model.encoder, spec, announce=announce)
        batches = {shape: random_batch(model.encoder, shape) for shape in shapes}
        for each in settings:
            announce(f"{spec.name}: loading, {each.threads} threads")
            backend = open_built(built, each)
            for shape, batch in batches.items():
                gather_rows(spec.name, [(batch.rows, backend.prepare(batch)())])
                call = backend.bind(batch) if isinstance(backend, OnnxBackend) else backend.prepare(batch)
                cell = Cell(f"{spec.name} t{each.threads} {shape.name}", _settle(backend, each), call)
                cells.append(cell)
                about[cell.name] = spec.name, _describe(built, backend, batch, shape, device)
    return Grid(tuple(cells), about)


def _refuse_too_long(models: Sequence[Model], shapes: Sequence[Shape]) -> None:
    for encoder in dict.fromkeys(model.encoder for model in models):
        lengths = sorted({shape.sequence_length for shape in shapes if shape.sequence_length > encoder.max_tokens})
        if lengths:
            raise SequenceTooLongError(
                f"sequence lengths {', '.join(map(str, lengths))}: expected at most {encoder.max_tokens} tokens, the limit of "
                f"{encoder.name}"
            )


def _settle(backend: Backend, settings: RunSettings) -> Callable[[], object]:
    """torch's thread count belongs to the process: the backend opened last would set it for all."""
    if not isinstance(backend, TorchBackend):
        return lambda: None
    import torch

    return partial(torch.set_num_threads, settings.threads)


def _describe(built: Built, backend: Backend, batch: TokenBatch, shape: Shape, device: Device) -> GridCell:
    spec, in_force = built.spec, backend.in_force
    on_onnx = isinstance(backend, OnnxBackend)
    engine = "onnxruntime" if on_onnx else "torch" if isinstance(backend, TorchBackend) else spec.name
    return GridCell(
        engine=engine,
        version=_engine_version(engine),
        providers=";".join(backend.providers) if isinstance(backend, OnnxBackend) else "NA",
        device=device.kind,
        precision=_PRECISIONS.get(in_force.arithmetic, in_force.arithmetic),
        optimizer=_optimizer(spec),
        io_binding=on_onnx,
        model_name=f"{built.encoder.name}/{spec.name}" if on_onnx and spec.published else built.encoder.name,
        inputs=len(backend.feed(batch)) if isinstance(backend, OnnxBackend | TorchBackend) else None,
        threads=in_force.threads,
        batch_size=shape.batch_size,
        sequence_length=shape.sequence_length,
    )


def _optimizer(spec: BackendSpec) -> str:
    if spec.runtime is Runtime.TORCH_COMPILE:
        return "torch.compile"
    steps = [step if isinstance(step, str) else step.name for step in spec.steps]
    if spec.published is not None and spec.runtime is Runtime.ONNXRUNTIME:
        folder = spec.published.parent
        if not (folder / MANIFEST).is_file():
            return "published"
        steps = [step.partition("@")[0] for step in read_manifest(folder).steps]  # behind it, the step's version
    return "+".join(step for step in steps if step != "export")


def _engine_version(engine: str) -> str:
    """The installed package's; the GPU build of ONNX Runtime goes by a name of its own. "" for someone else's runtime."""
    return next(iter(installed_versions((engine, f"{engine}-gpu")).values()), "")
