"""The OPC UA server process: `python -m agent.sinks.opcua.server`, its settings being one JSON line on standard input.

It is a client of the feed and holds nothing that a new connection to the feed does not bring back. asyncua is used
here and nowhere else north of the daemon; pydantic is not.

    __main__       reads the settings, sets up logging, runs
    app            wiring: feed -> space and values; pulse, beats, service level, shutdown
    space          the nodes: one folder an asset and group, one variable a point
    values         what changed in a Snapshot, as DataValues
    guard          whom a message may come from: what OPC 10000-4 §5.7.3 asks and the library leaves to its user
    sessions       who is logged in, and which subscriptions are whose
    certificates   the server's own certificate, and which clients are trusted
"""
