"""Who answers: torch, torch.compile, ONNX Runtime, behind one protocol."""
