"""HTTP/2 without sockets, for both sides of a gRPC call."""
