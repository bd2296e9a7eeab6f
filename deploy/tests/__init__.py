"""The tools of deploy/ as an operator runs them: against a local stack, and the template's stack in an AWS emulator."""
