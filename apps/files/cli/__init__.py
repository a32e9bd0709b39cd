"""`p2pnode files ...`: share files and fetch them. Plugged in by the entry point group `p2pnode.commands`.

Command modules import what they need when they run: `p2pnode files --help` must be quick.
"""

from __future__ import annotations

import click

from apps.files.cli.change import limit, pause, remove, resume
from apps.files.cli.export import export
from apps.files.cli.get import get
from apps.files.cli.search import search
from apps.files.cli.share import share
from apps.files.cli.shown import list_shares, status
from p2pnode.ui.options import examples


@click.group(epilog=examples("p2pnode files share photo.jpg", "p2pnode files get 'magnet:?xt=urn:btmh:1220…'"))
def files() -> None:
    """Share files and folders, and fetch them from everybody who has them.

    What arrives is verified, whoever sent it. The node must run; it goes on sharing when a command ends.
    """


#: In the list of commands a line has 60 letters.
_SHORT = {
    share: "Share a file or a folder, and print its link.",
    get: "Fetch what a link names, from everybody who has it.",
    export: "Write a .torrent file of a share, for BitTorrent programs.",
    search: "Find shares by words of their names and tags.",
    list_shares: "List what this node shares and fetches.",
    status: "Show one share: how far it is, from whom, its link.",
    pause: "Stop exchanging a share until it is resumed.",
    resume: "Go on with a share that was paused, or had failed.",
    remove: "Forget a share; its files stay unless --erase is said.",
    limit: "Show or set how fast files are sent and fetched.",
}
for _command, _help in _SHORT.items():
    _command.short_help = _help
    files.add_command(_command)
