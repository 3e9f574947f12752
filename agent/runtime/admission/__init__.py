"""Which model files may run on this gateway: signed by whom (keys, signature), tried in a child (trial), and what ran
here before (memory). All of it lies in the folder `models` of the state directory.
"""
