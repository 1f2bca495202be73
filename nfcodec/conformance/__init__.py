"""Whether a decoder reads .nfld files as the specification says."""
