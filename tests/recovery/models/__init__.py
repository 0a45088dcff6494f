"""Models of recovery, small enough that every order of what can happen is tried."""
