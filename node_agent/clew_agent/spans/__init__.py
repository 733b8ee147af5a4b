"""Records to spans: pure stages, ``decode -> parent -> enrich -> name``, which know no BPF, Kubernetes client or OTLP."""
