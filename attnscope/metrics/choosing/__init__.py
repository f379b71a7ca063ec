"""Which heads: criteria, their ranking with how sure it is, and the heads file."""
