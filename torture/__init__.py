"""The long proofs: kills at every failpoint, power cuts, the loss table. `make torture` runs them all."""
