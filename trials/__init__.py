"""What must never lose a document, tried: killed, broken, fuzzed and large runs of the whole command."""
