"""Requests made up from the server's own description of its routes: ``make fuzz``.

Half of them are what the description allows, half of them are not; in most of both the ids are real, so that they come
further than the first look-up. Nothing may be answered with 500 or more, and nothing may be left without an answer.
"""
