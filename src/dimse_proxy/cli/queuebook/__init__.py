"""What `dimse-proxy queue` is made of: which objects are meant, the way to them, words and numbers."""
