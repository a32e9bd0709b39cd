"""`p2pnode files search`: shares of the network by words."""

from __future__ import annotations

import click

from apps.files.cli.asking import ask
from p2pnode.api import Session
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples
from p2pnode.ui.render import counted, one_line, print_json, say
from p2pnode.ui.sizes import size_text


@click.command(epilog=examples("p2pnode files search live concert", "p2pnode files search manual --json | jq -r .link"))
@click.argument("words", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a share and line.")
@click.pass_obj
def search(session: Session, words: tuple[str, ...], as_json: bool) -> None:
    """Find shares whose name and tags have all WORDS: the best match with the most seeds first."""
    answer = ask(session, "search", {"words": " ".join(words)})
    found = answer["results"]
    if not found:
        fail(f"nothing was found for {' '.join(words)!r}", code="not_found", asked=counted(answer["asked"], "peer"),
             try_it_with="fewer words, or others")  # fmt: skip
    if as_json:
        for one in found:
            print_json({"v": 1} | one)
        return
    for one in found:
        facts = [size_text(one["size"]), counted(one["files"], "file"), counted(one["seeds"], "seed")]
        tags = f"   {one_line(' '.join(one['tags']))}" if one["tags"] else ""
        print(f"{one_line(one['name'])}   {', '.join(facts)}{tags}\n  {one_line(one['link'])}")
    say(f"fetch one:   {session.command('files get LINK')}   (with the link in quotes)")
