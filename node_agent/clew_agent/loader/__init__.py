"""Getting programs into the kernel: text put together, compiled by a child that ends, and held by descriptors."""
