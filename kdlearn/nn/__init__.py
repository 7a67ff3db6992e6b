"""The network by hand: functional, layers, network, optim."""
