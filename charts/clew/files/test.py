"""What `helm test` runs in the cluster: the operator answers, and the API server serves the three kinds to its service account."""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

ACCOUNT = os.environ.get("SERVICE_ACCOUNT_FOLDER", "/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = ("tracingpolicies", "tracingrevisions", "nodetracings")


def get(url: str, **headers: str) -> bytes:
    """The body of the answer; ends the test with what went wrong if there is none."""
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt") if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10, context=context) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 429:  # the API server takes up a definition that was changed just now; the Job's deadline ends the waiting
            time.sleep(float(error.headers.get("Retry-After", 1)))
            return get(url, **headers)
        sys.exit(f"GET {url}: {error.code} {error.reason}: {error.read().decode(errors='replace').strip()}")
    except OSError as error:
        sys.exit(f"GET {url}: {error}")


with open(f"{ACCOUNT}/token", encoding="ascii") as file:
    token = file.read()
get(os.environ["OPERATOR_URL"] + "/healthz")
print("the operator answers")
for kind in KINDS:
    listed = json.loads(get(f"{os.environ['API_URL']}/apis/clew.dev/v1alpha1/{kind}", Authorization=f"Bearer {token}"))
    print(f"{kind}: {len(listed['items'])}")
