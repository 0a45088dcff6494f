"""The real implementation without one rule at a time, and the tests that notice it."""
