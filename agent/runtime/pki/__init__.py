"""Certificates of OPC UA applications: reading, making, judging, and the folders they lie in. No OPC UA library.

certificates.py   reading: chains, names, thumbprints
fingerprints.py   reading a fingerprint that somebody copied
making.py         our own certificate and key, made on first use, renewed on demand
judging.py        a peer's certificate step by step (OPC 10000-4 §6.1.3), pure
folders.py        the folders: own, trusted, issuer, rejected
"""
