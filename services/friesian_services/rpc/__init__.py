"""gRPC on our own HTTP/2: a server that answers in its event loops, and a client that waits in its callers' threads."""
