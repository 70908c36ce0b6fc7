"""What this project promises of its classifier, whichever backend answers."""

import numpy as np

from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.tokens import tokenize
from driftgate.run.backend import predict

TEXTS = [
    "Thank you so much for your help!",
    "I am so sorry, that was my fault.",
]


def test_thanks_and_apologies_are_recognized(backend, encoder):
    logits = predict(backend, tokenize(encoder, TEXTS), ArrivalPlan(1))
    assert [encoder.labels[best] for best in logits.argmax(axis=1)] == ["gratitude", "remorse"]


def test_the_most_probable_label_stays_the_same(predictions):
    same = np.mean(predictions.logits.argmax(axis=1) == predictions.reference.argmax(axis=1))
    assert same >= 0.99
