"""What the trained net has learned: kernels, neighbours, binary codes (section 6.1)."""
