"""Texts as data sets: folders and archives of text files, JSON lines; their encodings."""
