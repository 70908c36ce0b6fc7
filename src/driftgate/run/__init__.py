"""How a model is run: torch, torch.compile and ONNX Runtime, with one protocol."""
