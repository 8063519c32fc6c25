"""Parts that several networks share: input, augmentation, blocks and the classifier's last layer."""
