"""That the record was not changed: Merkle trees, signed checkpoints, and proofs that anybody can check."""
