"""The panel at a server that is played: what is sent, what is shown, what is possible when; in a second or two each."""
