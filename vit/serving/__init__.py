"""Models that answer over HTTP: one ASGI application, for a page and for programs; a request writes nothing to disk."""
