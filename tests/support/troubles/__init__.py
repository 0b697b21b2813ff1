"""One table of troubles: every way in which a file can be wrong, for every format and every command that reads."""
