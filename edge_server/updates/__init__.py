"""New versions for the devices of a site: mirrored and handed on unchanged, and rolled out in stages."""
