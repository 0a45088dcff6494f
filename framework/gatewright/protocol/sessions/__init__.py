"""The mode with sessions, `gw.v1`: its control frames, and what both sides have to remember."""
