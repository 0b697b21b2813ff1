"""Features of texts: counts of words and character n-grams, weighted by TF-IDF or hashed."""
