"""The learned stepper in torch: bodies that change, history, network, adapter, and the loop that judges the engine."""
