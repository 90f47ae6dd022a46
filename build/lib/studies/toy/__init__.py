"""Twenty-five Gaussians: mixtures, many small runs as one program, and the methods compared on them."""
