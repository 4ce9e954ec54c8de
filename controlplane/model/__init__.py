"""The words that all processes share: records, states, reports, decisions, settings.

Pure: nothing here reads a clock, a file, a socket or the environment. Times are epoch seconds
(`_at`) or durations (`_s`); sizes are bytes; absent is None.
"""
