"""Looking inside a network: what each layer costs, sees and answers to. One file for each command."""
