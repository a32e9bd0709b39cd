"""Signed requests and replies by datagram: who sent it, is it new, may it act, was it answered."""
