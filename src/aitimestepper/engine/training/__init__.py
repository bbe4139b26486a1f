"""The compiled parts of a training: the gate, a network forwards and backwards, collecting, windows."""
