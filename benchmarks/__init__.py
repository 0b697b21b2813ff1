"""Straightedge beside its peers: same data, same objective, one run. See benchmarks/README.md."""
