"""The ``clew`` command: checks policies, takes identifiers apart, and shows traces. Needs no cluster and no agent."""
