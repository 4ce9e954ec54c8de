"""What one request costs a proxy, ours and others side by side in one run.

    module        does
    ------------  ----------------------------------------------------------------
    bench         one run: starts everything, measures the chosen cases
    cases         what is measured: one row per case
    load          wrk and our own clients as sources of load; refuses runs with errors
    clients       load that wrk cannot make: events, WebSocket, idle connections
    application   what the replicas run
    applications  the same without an installation around them
    target        what a proxy has to do, and the proof that it does
    ours          `tidegate up` with the applications deployed through its API
    peers         the other proxies, each configured for the same job
    children      starts processes pinned to a core, reads their CPU time and memory
    rounds        interleaved rounds, medians and spreads, ratios
    budgets       the bars, and who met them
    report        tables as text and Markdown
    page, chart   `loadtests/README.md` and its picture
    worker        a store and one gateway worker alone, for the next two
    routes        what the number of workloads costs
    profile       where our own time goes

`loadtests/method.md` says why it is measured this way.
"""
