"""BitTorrent, translated: to the rest of file sharing its clients are peers of "/files/1"."""
