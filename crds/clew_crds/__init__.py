"""Clew's Kubernetes API as pydantic models: what a policy may say, and what it selects. Knows no other package of Clew."""

from clew_crds.catalogue import CATALOGUE, expand
from clew_crds.functions import Argument, ArgumentType, Attribution, KernelFunction
from clew_crds.load import PolicyError, load_policies, parse_policies
from clew_crds.policy import API_VERSION, KIND, Layout, Naming, PolicySpec, Propagator, Subject, TracingPolicy
from clew_crds.selectors import selects

__all__ = [
    "API_VERSION",
    "CATALOGUE",
    "KIND",
    "Argument",
    "ArgumentType",
    "Attribution",
    "KernelFunction",
    "Layout",
    "Naming",
    "PolicyError",
    "PolicySpec",
    "Propagator",
    "Subject",
    "TracingPolicy",
    "expand",
    "load_policies",
    "parse_policies",
    "selects",
]
