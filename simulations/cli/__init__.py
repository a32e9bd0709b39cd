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


@click.group()
def swarm() -> None:
    """Simulate many peers in virtual time, attackers included.

    The code is that of `p2pnode run`; the same scenario, nodes and seed give the same run.
    """


for _command in (run, replay, shrink, report, sweep, model, list_scenarios, show):
    swarm.add_command(_command)
