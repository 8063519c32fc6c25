"""One file for each kind of data set, and the file formats that they share."""
