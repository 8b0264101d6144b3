"""Run directory to ONNX files, with a parity check against the runner's scorer."""
