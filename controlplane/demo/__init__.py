"""`tidegate demo`: a sample service, traffic for it, and the report about what happened.

service   what is deployed
traffic   which request is meant to be sent when (pure)
client    sends them, and measures from the intended moment
report    what was seen, and the summary (pure)
chart     the timeline as a picture (matplotlib)
page      the self-contained HTML page (pure)
"""
