"""Tests of what clients/ holds.

Prometheus, vmagent and Datadog's check class run with our configurations against the local stack. What the other
clients read is checked against their documentation and types.
"""
