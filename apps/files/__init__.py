"""File sharing: shares named by BitTorrent v2 info-hashes, fetched from everybody who has them (docs/files.md)."""
