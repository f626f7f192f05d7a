#!/bin/sh
# A service for a picture of alerts: it answers every request with its directory, and tells no metrics of its own.
exec python3 -m http.server --bind 127.0.0.1 "$PORT"
