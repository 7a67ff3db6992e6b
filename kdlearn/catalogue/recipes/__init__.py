"""Every kind of distillation as one expression: a file an idea, and a new file is read without being listed."""
