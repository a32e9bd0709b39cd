"""How a node meets the network: datagrams, local interfaces, discovery on a LAN."""
