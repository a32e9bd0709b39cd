"""The Kademlia DHT: who is close to a key, and what is kept there.

Maymounkov and Mazieres, Kademlia (IPTPS 2002); Baumgart and Mies, S/Kademlia (ICPADS 2007).
"""
