"""Shared by tests: real servers, a real browser, and what to say when a program is missing."""
