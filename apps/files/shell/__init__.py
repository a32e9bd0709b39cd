"""The disk side of file sharing: what the core asks for by `ctx.operate`, done in threads (apps.files.core.disk)."""
