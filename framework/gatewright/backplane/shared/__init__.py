"""What all backplanes that nodes share have in common; an engine beneath them is a `Log`."""
