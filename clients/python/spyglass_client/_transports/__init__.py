"""How requests reach the models: the protocol of a transport, and gRPC's."""
