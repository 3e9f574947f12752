"""What goes over the wire, and what becomes of it. `link.py` first.

link.py                   one request at a time to an endpoint or its backup; counts what becomes of it
backup.py  quiet.py       which of the two; how long a serial line is left alone
conversation.py           one open connection: pymodbus, made strict
requests.py  answers.py   what is sent; which bytes are an answer
opening.py  security.py   connections by transport; TLS
bustrace.py  errors.py    recordings; what can go wrong, by class
"""
