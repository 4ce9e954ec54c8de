"""The invoke gateway: one asyncio proxy worker per core."""
