"""Does the answer for a text depend on the texts beside it, or on the padding behind it?"""


def test_answers_depend_little_on_batch_mates_and_padding(built, driftgate, gate, results):
    """Rows answer the same in random batches of 1, 4 and 8, and with padding up to the encoder's limit."""
    noise = driftgate.noise(built.spec)
    values = {}
    for name, found in noise.items():
        results.add(built.spec.name, "noise", found, name)
        values[f"{name}_noise_max_abs_logit"] = found.max_abs_logit
        values[f"{name}_noise_max_abs_probability"] = found.max_abs_probability
    gate(values)
