"""The release: features, index and models of one making, frozen together."""
