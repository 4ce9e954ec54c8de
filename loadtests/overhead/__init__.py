"""What one request costs a proxy, ours and others side by side in one run.

    module     does
    ---------  ----------------------------------------------------------------
    children   starts processes pinned to a core, reads their CPU time and memory
    peers      the application and the other proxies, each configured for our job
    ours       a store, its records, and one gateway worker, as in production
    load       runs wrk and refuses runs with errors
    rounds     interleaved rounds, medians and spreads, ratios
    report     text and Markdown
    profile    where our own time goes

`loadtests/method.md` says why it is measured this way.
"""
