"""Read, walk, lint, lock and rewrite an ONNX graph."""
