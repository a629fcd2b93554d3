"""The recommender: the chain over the other services, on gRPC and HTTP."""
