"""`trio-swap init`: what there is on this machine, and a first configuration made of it."""
