"""What the core was told and what it said, written down as it happens, and played again from what was written."""
