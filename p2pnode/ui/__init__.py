"""What people see: failures, tables, values. Standard library only, so that a command starts at once.

Shared with the command lines of applications (apps.*.cli), which may import this package and p2pnode.api.
"""
