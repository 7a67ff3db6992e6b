"""The same work side by side: this package, the matrix products alone, PyTorch, scikit-learn."""
