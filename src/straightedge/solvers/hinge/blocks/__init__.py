"""Hinges on blocks of rows: an augmented Lagrangian with a certificate in each step."""
