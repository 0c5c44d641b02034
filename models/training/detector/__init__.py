"""The recipe of the shipped detector, models/vision/weights/road.onnx."""
