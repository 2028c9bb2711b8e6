"""What each verb of the command line does, a module each; `proxy.cli` imports one when its verb is asked for."""
