"""The control API: how commands, dashboards and programs of this user reach a running node.

HTTP/1.1 on a unix socket in the node's home (0600: whoever may open it may do everything the node may).
"""
