"""Operating the server: logs, metrics, health, and how its runs end."""
