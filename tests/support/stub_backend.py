"""A backend that answers with what it was asked."""

from dataclasses import dataclass, field

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.inputs.batches import TokenBatch
from driftgate.run.backend import InForce, Prepared

STUB = BackendSpec("stub", Precision.FP32, Runtime.TORCH)


STUB_IN_FORCE = InForce("stub", "float32", 1)


@dataclass
class StubBackend:
    """Answers with what can be checked by hand: the sum of a row's token ids, and how many there are."""

    spec: BackendSpec = STUB
    in_force: InForce = STUB_IN_FORCE
    bad_rows: dict[int, float] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)

    def prepare(self, batch: TokenBatch) -> Prepared:
        def run() -> Logits:
            self.calls.append(len(batch.rows))
            real = batch.input_ids * batch.attention_mask
            logits = np.stack([real.sum(1), batch.attention_mask.sum(1)], axis=1).astype(np.float32)
            for position, row in enumerate(batch.rows):
                logits[position] += self.bad_rows.get(row, 0)
            return Logits(logits)

        return run
