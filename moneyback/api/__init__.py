"""HTTP, inwards: what arrives is decoded, recognised and handed to a flow; how it is answered is said here alone."""
