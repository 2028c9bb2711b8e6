"""Pictures of simulations, for a page (SVG, light and dark) and for a terminal."""
