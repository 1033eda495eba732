"""Where a training is shown besides its own files: TensorBoard, Weights & Biases, MLflow."""
