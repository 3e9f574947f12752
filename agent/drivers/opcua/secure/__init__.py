"""Security of a session: certificates judged, endpoints chosen, logins, old sessions closed. `connecting.py` first."""
