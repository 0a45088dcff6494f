"""What a gateway does, one test per behaviour, in files by room."""
