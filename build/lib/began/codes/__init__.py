"""Where a picture lies in z, and what moving there does."""
