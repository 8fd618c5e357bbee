"""The rows of the benchmark: a file for each thing that is run, each with `measure(stage)`."""
