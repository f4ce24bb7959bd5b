"""Details of errors: the messages of google.rpc under a name of our own."""
