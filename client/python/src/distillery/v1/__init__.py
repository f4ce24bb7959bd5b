"""Messages and stubs of proto/distill/v1, as protoc makes them."""
