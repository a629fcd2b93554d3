"""The ranking service: scores for rows of inputs."""
