"""A crash suite: the real program as a subprocess, killed again and again while a real server records every request.

``python -m tests.crash`` kills each of three kinds of job a hundred times over 20,000 rows; ``tests/test_crash.py`` is
its short form.
"""
