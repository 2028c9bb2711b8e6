"""`trio-swap top`: what a running proxy does, live in a terminal.

target: a URL as people type it. polling: what the proxy says, or one sentence why it says nothing. layout, tables,
frame: from what was said to lines of text, without terminal or clock. screen: the terminal while it is ours, and its
way back. watching: the tasks that poll, draw and listen.
"""
