"""Training on the device: an ONNX network becomes a training graph for stock onnxruntime (docs/tuning.md)."""
