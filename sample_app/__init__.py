"""Demonstrations of gatewright in one Starlette application: `python -m sample_app`."""
