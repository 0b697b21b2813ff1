"""Hinges of moderate size, on plain arrays; `solver` is what the loop sees."""
