"""What the network sees: pure functions of snapshots, invariant under permutation, translation and rotation."""
