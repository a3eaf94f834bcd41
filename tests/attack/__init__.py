"""Attacks and faults, sent to a stock MONAI Label server and to ours side by side: ``make attack``.

An attack is a request, or a few, that should be refused. What became of it is judged from outside alone: the answer,
what appeared in the folders around the server, whether something of them came back, and whether the server still
answers. The stock server is MONAI Label as it is installed, with the smallest app that has a model (``stock_app``) and
its own datastore; ours is ``python -m server_app``.
"""
