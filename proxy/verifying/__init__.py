"""What `trio-swap verify` does: small worlds of a configuration are explored, and what can happen is told."""
