"""Does the answer stay the same when the same head comes in other files? ``python -m docs.invariance`` measures it."""
