"""`p2pnode swarm replay`: a run again, up to one moment, and what one node knew and did then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import click

from p2pnode.ui.fail import Exit, Fail, as_object, fail
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.render import one_line, print_json, table
from simulations.bounds import LONGEST_S
from simulations.cli.chosen import Chosen, choosing
from simulations.cli.ending import ending_at_once, telling

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Keys of records that are listed.
_RECORDS = 1000


@click.command(
    epilog="\b\nExample:\n  p2pnode swarm replay churn --nodes 50 --seed 7 --to-time 90 --node 12\n"
    "  p2pnode swarm replay churn --nodes 50 --seed 7 --to-event 40000 --json"
)
@choosing
@click.option("--to-event", type=click.IntRange(1), metavar="N", help="Stop after so many events.")
@click.option("--to-time", type=FiniteRange(0, LONGEST_S), metavar="VIRTUAL_S", help="Stop at that virtual second.")
@click.option("--node", type=click.IntRange(0), metavar="I", help="Show this node; else the first that broke, or 0.")
@click.option("--json", "as_json", is_flag=True, help='One JSON object on stdout, with "v": 1.')
def replay(chosen: Chosen, to_event: int | None, to_time: float | None, node: int | None, as_json: bool) -> int:
    """Run SCENARIO again to an event or a time, and show one node: table, peers, records, requests, tasks.

    Give it the options of the run. Without --to-event and --to-time it goes to the end.
    """
    if to_event is not None and to_time is not None:
        fail("--to-event and --to-time exclude each other", code="usage")
    swarm = chosen.swarm()
    with telling(chosen.command("run"), swarm), ending_at_once(as_json=as_json):
        reached = _go(swarm, to_event, to_time)
    if node is None:
        node = next((broken.node for broken in swarm.broken if broken.node is not None), 0)
    if node >= len(swarm):
        fail(f"there is no node {node}: the swarm has {len(swarm)} by then, 0 to {len(swarm) - 1}", code="usage")
    state = {
        "v": 1, "scenario": swarm.scenario.name, "seed": chosen.seed, "nodes": len(swarm), "virtual_s": swarm.now_s,
        "events": swarm.engine.events, "trace_hash": swarm.engine.trace(),
        "invariants": [attrs.asdict(broken) for broken in swarm.broken],
        "node": state_of(swarm, node),
    }  # fmt: skip
    ended = None if reached else Fail(
        f"the run ended before that, after {swarm.engine.events:,} events at {swarm.now_s:g} s", code="not_found",
        facts={"this is its end": chosen.command("replay")},
    )  # fmt: skip
    if as_json:  # one object, of a failure too
        print_json(_plain(state) | ({"error": as_object(ended)} if ended is not None else {}))
        return Exit.OK if ended is None else ended.exit
    print("\n".join(one_line(line) for text in _lines(state, reached) for line in text.split("\n")), flush=True)
    if ended is not None:
        raise ended
    return Exit.OK


def _go(swarm: Swarm, to_event: int | None, to_time: float | None) -> bool:
    from overlay.runtime.ports import SECOND

    engine = swarm.engine
    if to_event is not None:
        while engine.events < to_event and (engine.now_ns < swarm.end_ns or swarm.under_way) and engine.step():
            pass
        return engine.events >= to_event
    to_ns = None if to_time is None else round(to_time * SECOND)
    swarm.run(stop_at_ns=to_ns)
    return to_ns is None or engine.now_ns >= to_ns


def state_of(swarm: Swarm, node: int) -> dict[str, Any]:
    """What can be said of a node: its place in the swarm, and all that its peer knows if it runs."""
    from overlay import inspect
    from overlay.peer import Peer

    engine = swarm.engine
    state: dict[str, Any] = {
        "index": node, "id": swarm.id_text(node), "runs": engine.alive(node), "awake": engine.awake(node),
        "adversary": swarm.adversaries.get(node), "life": engine.life(node),
        "addresses": [str(address) for address in swarm.network.addresses(node)],
    }  # fmt: skip
    if not engine.alive(node):
        return state
    peer = engine.peer(node)
    peer = getattr(peer, "inner", peer)  # an adversary may be wrapped around its peer
    if isinstance(peer, Peer):
        keys = peer.dht.store.keys_near(bytes(32), 0, limit=_RECORDS)
        state |= inspect.describe(peer) | {"record_keys": [key.hex() for key in keys]}
    return state


def _lines(state: dict[str, Any], reached: bool) -> Iterator[str]:
    node = state["node"]
    yield f"{state['scenario']}, seed {state['seed']}: {state['virtual_s']:.6f} virtual s, {state['events']:,} events"
    if not reached:
        yield "ended  before what was asked for: this is its end"
    yield f"trace  {state['trace_hash']}"
    for broken in state["invariants"]:
        yield f"BROKEN {broken['invariant']}, node {broken['node']}, {broken['at_s']:.1f} s: {broken['what']}"
    yield ""
    kind = node["adversary"] or "honest"
    doing = "runs" if node["awake"] else "stands still" if node["runs"] else "switched off"
    yield f"node {node['index']}, {kind}, {doing}, {', '.join(node['addresses'])}"
    yield node["id"]
    if "tasks" not in node:
        return
    yield f"clock {node['now']['mono_ns'] / 1e9:.6f} s; next timer " + _at(node["deadline_ns"])
    for bucket in node["table"]:
        yield ""
        yield f"bucket {bucket['depth']}: {len(bucket['contacts'])} contacts, {bucket['replacements']} replacements"
        rows = [(c["id"][:19], c["address"], _ms(c["rtt_ms"]), c["failures"]) for c in bucket["contacts"]]
        yield table(("id", "address", "rtt ms", "failures"), rows, right=("rtt ms", "failures"))
    yield ""
    yield f"{len(node['known'])} peers answered within five minutes"
    yield f"{len(node['record_keys'])} records"
    yield from (f"  {key}" for key in node["record_keys"])
    yield f"{len(node['own_records'])} own records"
    yield from (f"  {own['key']} {own['kind']} seq {own['seq']}" for own in node["own_records"])
    yield f"{len(node['pending'])} requests wait"
    yield from (
        f"  {r['kind']} to {r['address']}, sent {r['sends']} times, {r['sent_ms_ago']:.0f} ms ago"
        for r in node["pending"]
    )
    yield f"{len(node['tasks'])} tasks"
    yield from (f"  {where}" for where in node["tasks"])


def _plain(value: Any) -> Any:
    """Names are bytes; text where they are text."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case bytes():
            return value.decode(errors="backslashreplace")
        case _:
            return value


def _at(deadline_ns: int | None) -> str:
    return "never" if deadline_ns is None else f"at {deadline_ns / 1e9:.6f} s"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
