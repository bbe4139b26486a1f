"""What a run leaves behind: values, the HDF5 file, archives of REBOUND."""
