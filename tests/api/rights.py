"""What a user may do, asked of the API server right by right."""

from concurrent.futures import ThreadPoolExecutor

from tests.api.rest import Client

VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("impersonate", "bind", "escalate", "approve", "sign", "attest"),
)


def rights(admin: Client, user: str, namespace: str = "", only: str | None = None) -> dict[str, str]:
    """Every verb on every resource that a user has, apart from what every user has: asked one by one, in one group or in all.

    With a ``namespace``, what the user has there.
    """

    def allowed(user: str, attributes: dict[str, str]) -> bool:
        review = {"user": user, "groups": ["system:authenticated"], "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": review}
        answer = admin.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        assert answer.code == 201, answer
        return bool(answer.body["status"]["allowed"])

    paths = [("", "/api/v1")] + [
        (group["name"], f"/apis/{version['groupVersion']}") for group in admin.get("/apis")["groups"] for version in group["versions"]
    ]
    resources = {(group, one["name"]) for group, path in paths if only in (None, group) for one in admin.get(path)["resources"]}
    if only is None:
        resources |= {("", "users"), ("", "groups"), ("authentication.k8s.io", "userextras")}
    asked = []
    for group, name in sorted(resources):
        resource, _, subresource = name.partition("/")
        for verb in VERBS:
            asked.append({"group": group, "resource": resource, "subresource": subresource, "verb": verb, "namespace": namespace})
    with ThreadPoolExecutor(8) as pool:
        own = list(pool.map(lambda attributes: allowed(user, attributes), asked))
        held = [attributes for attributes, yes in zip(asked, own, strict=True) if yes]
        common = list(pool.map(lambda attributes: allowed("nobody", attributes), held))
    found: dict[str, list[str]] = {}
    for attributes, everybodys in zip(held, common, strict=True):
        if not everybodys:
            name = "/".join(filter(None, (attributes["group"], attributes["resource"], attributes["subresource"])))
            found.setdefault(name, []).append(attributes["verb"])
    return {name: " ".join(verbs) for name, verbs in found.items()}
