"""What the command line does, one file a concern; `kdlearn.cli` parses and calls."""
