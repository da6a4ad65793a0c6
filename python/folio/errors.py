class Error(Exception):
    """A file that cannot be read: its path, what is wrong, and what to do."""
