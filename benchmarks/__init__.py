"""Benchmarks: ratios against the raw limit in the same run, with the machine named. Run with `make bench`."""
