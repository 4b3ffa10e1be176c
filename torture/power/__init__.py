"""Power cuts: record what a program does to its files, rebuild what a disk would have kept, read it back."""
