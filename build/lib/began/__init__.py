"""BEGAN and BEGAN-CS: losses, equilibrium controller, networks, training and measurement."""

__version__ = "0.1.0"
