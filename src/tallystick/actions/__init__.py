"""One metered action as a state machine, and the declarations that put meters on handlers."""
