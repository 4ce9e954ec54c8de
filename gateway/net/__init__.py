"""The gateway's asyncio shell: connections, pools, listeners."""
