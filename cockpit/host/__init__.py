"""The process that owns a run: its training thread, its signals, its mailbox, its heartbeat."""
