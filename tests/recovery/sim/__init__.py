"""The real application in one process, with clients over a network that does what it is told."""
