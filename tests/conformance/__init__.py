"""Servers for the test-suites of others, which are fetched and run by hand: docs/conformance.md.

The tests here only see to it that these servers start and do what the suites begin with.
"""
