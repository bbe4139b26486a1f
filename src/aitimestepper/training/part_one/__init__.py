"""Part 1: collecting a trajectory, in torch or compiled."""
