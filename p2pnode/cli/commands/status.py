"""`p2pnode status`: the daily question, so it must answer at once. Imports nothing heavy."""

from __future__ import annotations

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.status import sentence
from p2pnode.ui.render import duration, print_fields, print_json

#: A node answers this from memory; it is asked again in the hour of trouble, by a person who waits.
PATIENCE_S = 10.0


@click.command(epilog=examples("p2pnode status", "p2pnode status --json | jq .peers"))
@json_option
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Who the node of this home is, and whether it is connected."""
    answer = session.node().call("GET", "/v1/status", timeout_s=PATIENCE_S)
    if as_json:
        print_json(answer)
        return
    streams = answer["streams"]
    print(sentence(answer))
    print_fields(
        [
            ("id", answer["id"]),
            ("network", answer["network"]),
            ("listening", ", ".join(answer["listen"])),
            ("role", answer["role"]),
            ("records", answer["records"]),
            ("streams", f"{streams['open']} open, {streams['incoming']} of them opened by others"),
            ("up", duration(answer["uptime_s"])),
            ("version", answer["version"]),
            ("ticket", answer["ticket"]),
        ]
    )
