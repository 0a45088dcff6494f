"""The doors: each knows the dispatcher, none knows another."""
