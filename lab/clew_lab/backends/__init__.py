"""What traces arrive in, for tests: Jaeger with its storage in memory, and the OpenTelemetry Collector, which may stand before it.

Both are built once from Go modules (:mod:`~clew_lab.backends.build`) and run on 127.0.0.1: alone (:mod:`~clew_lab.backends.running`), or
beside a cluster, to whose pods they have a name (:mod:`~clew_lab.backends.beside`). What has arrived is asked of Jaeger's own API
(:mod:`~clew_lab.backends.query`).
"""
