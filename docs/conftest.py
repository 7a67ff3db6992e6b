"""pytest runs the examples of these pages; the settings of Sphinx are none."""

collect_ignore = ["conf.py", "_ext"]
