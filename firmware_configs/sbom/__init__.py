"""What a release is made of: packages, weights and browser libraries with version, licence and hash, as CycloneDX."""
