"""OCI images without a daemon: how one is written, and those that the project makes."""
