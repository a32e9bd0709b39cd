"""`p2pnode swarm ...`: simulate many peers. Plugged in by the entry point group `p2pnode.commands`.

Command modules import what they need when they run: `p2pnode swarm --help` must be quick.
"""

from __future__ import annotations

import click

from simulations.cli.catalogue import list_scenarios, show
from simulations.cli.model import model
from simulations.cli.replay import replay
from simulations.cli.report import report
from simulations.cli.run import run
from simulations.cli.shrink import shrink
from simulations.cli.sweep import sweep


@click.group(epilog="\b\nExample:\n  p2pnode swarm list\n  p2pnode swarm run churn --nodes 200 --seed 7")
def swarm() -> None:
    """Simulate many peers in virtual time, attackers included.

    The code is that of `p2pnode run`; the same scenario, nodes and seed give the same run.
    """


#: In the list of commands a line has 60 letters.
_SHORT = {
    run: "Run a scenario; the exit code says whether its claims held.",
    replay: "Run it again to one moment, and show one node there.",
    shrink: "Make a failing run smaller while it still fails.",
    report: "Show a saved run, and make its report again.",
    sweep: "Run a scenario at many settings and seeds.",
    model: "A million nodes by arithmetic: hops, RPCs, success.",
    list_scenarios: "The scenarios that come with p2pnode.",
    show: "The text of a scenario: a start for one of your own.",
}
for _command, _help in _SHORT.items():
    _command.short_help = _help
    swarm.add_command(_command)
