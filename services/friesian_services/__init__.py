"""The gRPC and HTTP services: transport around the stages of friesian_fast, no logic of their own."""
