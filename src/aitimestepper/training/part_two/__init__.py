"""Part 2: learning from minibatches of accepted states."""
