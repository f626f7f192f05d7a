"""The platforms' official descriptions, with the few places corrected in which they contradict the platforms or themselves.

Each correction says where it comes from. What is not corrected here is held against the client and the simulated cloud as it is
written. `wire_names` and the two tables of additions are for what a validator of JSON Schema leaves open: an object that does not
say `additionalProperties: false` takes any field, and Fly's description of 157 objects never says so and hardly ever says
`required`.
"""

import copy
import json
import pathlib

METHODS = ("get", "put", "post", "delete", "patch")

# Fields that the platform is known to use although its description lacks them (NOTES.md beside each description).
# A path of names from the top of the body; items of a list add no name.
FIELDS_BESIDE_THE_DESCRIPTION = {
    "fly": set(),
    # The envelope is on every answer, and the description of a delete forgets it; a zone's status is a filter of the listing, and
    # the description of a zone forgets it.
    "cloudflare": {"result.zone_id", "result.zone_name", "result.status", "success", "errors", "messages"},
}

# The same for parameters in the query; a name ending in `.` stands for all that begin with it.
QUERY_BESIDE_THE_DESCRIPTION = {
    "fly": {"metadata.", "force", "wait"},
    "cloudflare": set(),
}


def load(provider, specs):
    """The description of a provider, corrected."""
    path = {"fly": "fly/machines-openapi.json", "cloudflare": "cloudflare/openapi.json"}[provider]
    spec = json.loads((pathlib.Path(specs) / path).read_text())
    {"fly": correct_fly, "cloudflare": correct_cloudflare}[provider](spec)
    return spec


def operations(spec):
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def correct_fly(spec):
    """Most operations list their success alone. The refusals, and the shape of all of them, are in section 2 of the notes."""
    for _, _, operation in operations(spec):
        operation["responses"].setdefault("4XX", {
            "description": "a refusal",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
        })


def correct_cloudflare(spec):
    record = spec["components"]["schemas"]["dns-records_dns-record"]
    for method, path, operation in operations(spec):
        # An API token is the way in that the platform recommends, and part of the operations forget it.
        if not any("api_token" in way for way in operation.get("security", [])):
            operation.setdefault("security", []).append({"api_token": []})
        # "Required", and of no shape: the platform deletes without a body.
        if method == "delete" and operation.get("requestBody", {}).get("content") == {"application/json": {}}:
            del operation["requestBody"]
        # A refusal is described as a success (`success` is true) and a failure (it is false) at once: nothing is both.
        refusal = operation["responses"].get("4XX", {}).get("content", {}).get("application/json", {})
        parts = refusal.get("schema", {}).get("allOf", [])
        if parts and parts[-1].get("$ref", "").endswith("-common-failure"):
            refusal["schema"] = parts[-1]
        # The schema of what is sent is the schema of what comes back, with all that only the platform can know.
        if "/dns_records" in path and "requestBody" in operation and method in ("post", "put", "patch"):
            body = operation["requestBody"]["content"].get("application/json", {})
            if body.get("schema") == {"$ref": "#/components/schemas/dns-records_dns-record"}:
                body["schema"] = sent_record(spec, record, partial=method == "patch")


def sent_record(spec, record, partial):
    sent = copy.deepcopy(record)
    made_by_the_platform = {"id", "created_on", "modified_on", "proxiable", "meta"}
    sent["required"] = [name for name in sent["required"] if name not in made_by_the_platform]
    if "data" not in sent["required"]:
        # Structured records (SRV, CAA, …) are sent as `data`, and `content` is computed from it.
        sent["required"].remove("content")
    if partial:
        # Without a type several kinds of record fit, so `oneOf` would refuse what the platform takes.
        del sent["required"]
        kinds = [copy.deepcopy(resolve(spec, kind)) for kind in sent.pop("oneOf")]
        for kind in kinds:
            kind.pop("required", None)
        sent["anyOf"] = kinds
    return sent


def resolve(spec, schema):
    while "$ref" in schema:
        found = spec
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        schema = found
    return schema


def unknown_fields(spec, schema, value, path=""):
    """The paths of fields in `value` that no part of `schema` names. An object of no described shape is open."""
    if isinstance(value, list):
        items = [part["items"] for part in parts_of(spec, schema) if "items" in part]
        for item in value if items else []:
            yield from unknown_fields(spec, {"anyOf": items}, item, path)
    if not isinstance(value, dict):
        return
    parts = list(parts_of(spec, schema))
    named = {}
    for part in parts:
        for name, inner in part.get("properties", {}).items():
            named.setdefault(name, []).append(inner)
    others = [part["additionalProperties"] for part in parts if part.get("additionalProperties")]
    for name, inner in value.items():
        here = f"{path}.{name}".lstrip(".")
        if name in named:
            yield from unknown_fields(spec, {"anyOf": named[name]}, inner, here)
        elif named and not others:
            yield here


def parts_of(spec, schema):
    schema = resolve(spec, schema)
    yield schema
    for key in ("allOf", "oneOf", "anyOf"):
        for part in schema.get(key, []):
            yield from parts_of(spec, part)
