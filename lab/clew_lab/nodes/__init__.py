"""Real nodes for the lab's control plane: guests with a kubelet, containerd, runc and kube-proxy, on a network of their own.

:meth:`clew_lab.cluster.Cluster.start_nodes` boots them; :class:`clew_lab.nodes.machine.LabNode` is what tests hold of each. What a
node is made of is built here: its programs (:mod:`~clew_lab.nodes.build`) and its disk, on which all images lie unpacked
(:mod:`~clew_lab.nodes.disk`). Where everything is on the network stands in :mod:`~clew_lab.nodes.places`.
"""
