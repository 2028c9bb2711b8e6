"""What `trio-swap simulate` is made of: who plays which role, which variants are compared, and what is said of them."""
