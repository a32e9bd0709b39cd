"""Golden bytes of the protocol: what every version must write and read."""
