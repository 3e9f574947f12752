"""The receiving end: what gateways publish, into PostgreSQL, each record once (`edgetwin ingest`).

    broker --messages--> message.py --what it says--> tables.py --one transaction--> PostgreSQL
       ^                 (pure: hash, JSON, names)        |
       +------- acknowledged, <prefix>/stored ------------+   only after COMMIT

    options.py    which broker, which database          rows.py      a summary as rows, one a tag (pure)
    link.py       the connection to the broker          sequence.py  which sequence numbers are missing (pure)
    message.py    what a message says, or what is wrong schema.py    the tables, made and brought up to date here
    tables.py     one transaction of many messages      flow.py      the loop: take, store, acknowledge, confirm
    database.py   the connection to the database        missing.py   what an operator asks: what is not there
    beside.py     births, names, what was rejected      asking.py    asks gateways to send it again
    columns.py    which member is which column          holes.py     the tables of what is missing

A message is acknowledged to the broker after the transaction that holds it is committed, so that whatever is killed,
it comes again; that it is stored once is the key (gateway, class, epoch, seq). Several can run side by side.
The daemon never imports this package.
"""
