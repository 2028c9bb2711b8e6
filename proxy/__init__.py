"""The shell of trio-swap: sockets, processes and configuration around the decisions of `states`."""
