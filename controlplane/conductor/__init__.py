"""What the control plane does by the clock: replacements, expiry, statistics, cleaning up.

It runs inside every API process and works in the one that holds the lease `conductor`. Each part is
an object with `async def step(now_s)`; `steps.py` lists them, `loop.py` runs them.
"""
