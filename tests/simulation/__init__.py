"""Whole nights of whole runs in virtual time, on a disk and against a platform that misbehave, all from one seed.

``python -m tests.simulation --seeds 2000``; how it works is told in ``docs/testing.md``.
"""
