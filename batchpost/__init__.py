"""batchpost: every row of a file becomes one request to a lead platform, once, and its outcome can be proved."""

__version__ = "0.1.0"
