"""The inside of a network: costs, receptive fields, feature maps. One file for each command."""
