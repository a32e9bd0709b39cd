"""Every operation of the control API in one table: the routes and the OpenAPI document are both made from it."""

from __future__ import annotations

from p2pnode.control.operation import Operation, identity, listed, passed_on, status, stop, ticket
from p2pnode.control.parameters import KEY_SCHEMA, VALUE_SCHEMA, Kind, Parameter, Schema

_KINDS = ("blob", "signed", "provider")
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number"}
#: null for what this node itself publishes again as long as it runs.
_SECONDS_OR_NULL: Schema = {"type": ["number", "null"]}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_RTT: Schema = {"type": ["number", "null"], "description": "milliseconds"}


def _list_of(**properties: Schema) -> Schema:
    return {"type": "array", "items": {"type": "object", "properties": properties, "required": list(properties)}}


_KEY = Parameter("key", Kind.KEY, "key of a record", required=True)
_TTL = Parameter("ttl_s", Kind.COUNT, "life in seconds, at most 86,400")
_PROFILE = Parameter(
    "profile", Kind.TEXT, "secure: the whole region; cheap: the k closest", choices=("secure", "cheap")
)
_PATHS = Parameter("paths", Kind.COUNT, "disjoint paths of the lookup, 1 to 8")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "/v1/status",
        "who this node is and how it does",
        (),
        {
            "id": _TEXT,
            "network": _TEXT,
            "listen": {"type": "array", "items": _TEXT},
            "ticket": _TEXT,
            "peers": _COUNT,
            "table": _COUNT,
            "records": _COUNT,
            "uptime_s": _SECONDS,
            "version": _TEXT,
            "role": {"type": "string", "enum": ["client", "full", "super"]},
            "key": KEY_SCHEMA,
            "network_id": KEY_SCHEMA,
            "own?": _COUNT,
            "waiting?": _COUNT,
            "size_estimate?": {"type": ["number", "null"], "description": "nodes of the network, guessed"},
            "streams": {
                "type": "object",
                "additionalProperties": _COUNT,
                "description": "open now, incoming: of them opened by others; handshakes of others, dials; plain ones",
            },
            "counters": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        status,
    ),
    Operation(
        "GET",
        "/v1/id",
        "the identity of this node",
        (),
        {
            "id": _TEXT,
            "key": KEY_SCHEMA,
            "address": {"type": ["string", "null"]},
            "network": _TEXT,
            "role": _TEXT,
        },
        identity,
    ),
    Operation("GET", "/v1/ticket", "one line that another node joins with", (), {"ticket": _TEXT}, ticket),
    Operation(
        "POST", "/v1/stop", "leave the network and end", (), {"stopping": {"type": "boolean"}, "pid": _COUNT}, stop
    ),
    Operation(
        "GET",
        "/v1/peers",
        "peers that answered with their signature",
        (),
        {
            "peers": _list_of(
                id=_TEXT,
                address=_TEXT,
                rtt_ms=_RTT,
                last_seen_s=_SECONDS,
                role=_TEXT,
                score={"type": ["number", "null"]},
            )
        },
        listed("peers", "peers"),
    ),
    Operation(
        "POST",
        "/v1/peers/ping",
        "one signed round trip",
        (Parameter("peer", Kind.TEXT, "id, unique prefix of one, or address", required=True),),
        {"id": _TEXT, "address": _TEXT, "rtt_ms": {"type": "number"}},
        passed_on("ping"),
    ),
    Operation(
        "POST",
        "/v1/peers/join",
        "contact nodes at these addresses",
        (Parameter("addresses", Kind.ADDRESSES, "where to ask, and whom to expect there", required=True),),
        {"joined": _COUNT, "others": _list_of(id=_TEXT, address=_TEXT)},
        passed_on("join"),
    ),
    Operation(
        "POST",
        "/v1/dht/put",
        "store a value: under its hash, or under this node's id and a name",
        (
            Parameter("value", Kind.VALUE, "at most 832 bytes", required=True),
            Parameter("name", Kind.TEXT, "at most 32 bytes; without it the key is the hash of the value"),
            Parameter("salt", Kind.VALUE, "the name as bytes"),
            _TTL,
            _PROFILE,
            Parameter("cas", Kind.COUNT, "store only if this seq is the newest"),
        ),
        {
            "key": KEY_SCHEMA,
            "kind": {"type": "string", "enum": ["blob", "signed"]},
            "seq?": _COUNT,
            "author?": _TEXT,
            "stored": _COUNT,
            "others": _COUNT,
            "rpcs": _COUNT,
            "expires_s": _SECONDS_OR_NULL,
        },
        passed_on("put"),
    ),
    Operation(
        "POST",
        "/v1/dht/get",
        "find and verify a record, by key or by author and name",
        (
            Parameter("key", Kind.KEY, "key of a record"),
            Parameter("author", Kind.TEXT, "id, unique prefix or public key"),
            Parameter("name", Kind.TEXT, "the author's name for it"),
            Parameter("salt", Kind.VALUE, "the name as bytes"),
            _PATHS,
        ),
        {
            "key": KEY_SCHEMA,
            "kind": _TEXT,
            "value": VALUE_SCHEMA,
            "author?": _TEXT,
            "seq?": _COUNT,
            "holders": _COUNT,
            "rpcs": _COUNT,
        },
        passed_on("get"),
    ),
    Operation(
        "POST",
        "/v1/dht/lookup",
        "the nodes closest to a key",
        (Parameter("key", Kind.TEXT, "64 hex digits, or an id", required=True), _PATHS),
        {"closest": {"type": "array", "items": _TEXT}, "rpcs": _COUNT, "hops": _COUNT, "paths": _COUNT},
        passed_on("lookup"),
    ),
    Operation(
        "POST",
        "/v1/dht/provide",
        "announce that this node has what the key names",
        (_KEY, _TTL),
        {"key": KEY_SCHEMA, "stored": _COUNT, "others": _COUNT, "rpcs": _COUNT},
        passed_on("provide"),
    ),
    Operation(
        "GET",
        "/v1/dht/providers",
        "who announced the key",
        (_KEY,),
        {
            "key": KEY_SCHEMA,
            "providers": _list_of(id=_TEXT, address=_TEXT_OR_NULL, expires_s=_SECONDS_OR_NULL),
            "rpcs": _COUNT,
        },
        passed_on("providers"),
    ),
    Operation(
        "GET",
        "/v1/dht/table",
        "the routing table, bucket by bucket",
        (),
        {
            "buckets": _list_of(
                depth=_COUNT,
                contacts=_list_of(id=_TEXT, address=_TEXT, rtt_ms=_RTT, failures=_COUNT, since_s=_SECONDS),
                replacements=_COUNT,
            )
        },
        passed_on("table"),
    ),
    Operation(
        "GET",
        "/v1/dht/own",
        "records that this node publishes again",
        (),
        {
            "records": _list_of(
                key=KEY_SCHEMA,
                kind={"type": "string", "enum": list(_KINDS)},
                name={
                    "anyOf": [*VALUE_SCHEMA["anyOf"], {"type": "null"}],
                    "description": "the salt of a signed record",
                },
                seq={"type": ["integer", "null"]},
                expires_s=_SECONDS_OR_NULL,
            )
        },
        listed("own", "records"),
    ),
    Operation(
        "POST",
        "/v1/dht/forget",
        "publish a record or an announcement no longer; copies live until they expire",
        (
            Parameter("key", Kind.KEY, "what was put or provided"),
            Parameter("name", Kind.TEXT, "this node's name for it, in place of the key"),
            Parameter("salt", Kind.VALUE, "the name as bytes"),
        ),
        {"key": KEY_SCHEMA, "withdrawn": {"type": "array", "items": {"type": "string", "enum": list(_KINDS)}}},
        passed_on("forget"),
    ),
    Operation(
        "GET",
        "/v1/topics",
        "topics that this node subscribes or lately published on",
        (),
        {
            "topics": _list_of(
                name=_TEXT,
                subscribed={"type": "boolean"},
                mesh=_COUNT,
                known=_COUNT,
                seen=_COUNT,
                dropped=_COUNT,
            )
        },
        listed("topics", "topics"),
    ),
    Operation(
        "POST",
        "/v1/topics/publish",
        "tell all subscribers of a topic; /v1/events?topic=NAME listens",
        (
            Parameter("topic", Kind.TEXT, "at most 64 bytes", required=True),
            Parameter("body", Kind.VALUE, "at most 1 MiB; above 900 bytes it goes by stream", required=True),
        ),
        {"topic": _TEXT, "peers": {**_COUNT, "description": "peers it was sent to at once"}},
        passed_on("publish"),
    ),
    Operation(
        "GET",
        "/v1/apps",
        "applications that run here; POST /v1/apps/APP/COMMAND asks one",
        (),
        {
            "apps": _list_of(
                name=_TEXT,
                commands={"type": "array", "items": _TEXT},
                stored={**_COUNT, "description": "bytes in its storage"},
            )
        },
        listed("apps", "apps"),
    ),
)
