"""The operator: watches policies and nodes, decides which node enforces which revision, and writes that down."""
