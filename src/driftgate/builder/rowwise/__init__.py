"""INT8 that does not depend on its batch: every token has a quantization scale of its own.

ONNX Runtime's dynamic quantization takes one scale over a whole batch, so a text's answer changes with the other texts of its
batch and its padding (onnxruntime #10111). Here a row of activations (one token) is scaled by its own largest value, weights
have a scale for each output, and embedding tables one for each entry. All of it is made of stock operators of ONNX Runtime:

    scale = max|row| / 127            ReduceMax
    q = round(row / scale) + 128      QuantizeLinear along axis 0, uint8
    y = (q - 128) W / weight scales   MatMulIntegerToFloat, int32 sums, W int8
    y = y * scale                     Mul

`products` does that arithmetic and `forms` that of the other forms in a recipe, `token_rows` keeps tokens in rows between the
embeddings and the head, and `nodes` writes each operator of the graph again and has the build step.
"""
