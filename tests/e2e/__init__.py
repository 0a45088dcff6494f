"""Whole applications in a real browser."""
