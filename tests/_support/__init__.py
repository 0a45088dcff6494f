"""What several tests need: real servers, a real browser, and what to say when a program is missing."""
