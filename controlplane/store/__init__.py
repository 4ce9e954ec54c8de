"""The store: records, watch, load reports, wake-ups, journals and leases over Redis or Valkey."""
