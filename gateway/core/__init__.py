"""Pure decisions of the gateway: no clock, no I/O, the reason is returned."""
