"""Bytes of the protocol: deterministic CBOR, COSE signatures, envelopes, bodies, records, tickets."""
